// SPDX-License-Identifier: Apache-2.0
// What flow to build. Plain values; the model file stores them and a flow is a pure function of
// them.
#ifndef MILLRACE_CORE_FLOW_FLOW_SPEC_H_
#define MILLRACE_CORE_FLOW_FLOW_SPEC_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "core/exec/kernels.h"
#include "core/flow/base_spec.h"
#include "core/flow/layer_spec.h"

namespace millrace {

// The architectures of the field, by name. Each is a stack of layers of one kind:
//   autoregressive: MADE (Germain et al. 2015), one layer; MAF (Papamakarios et al. 2017); IAF
//     (Kingma et al. 2016), MAF the other way round: fast to draw from, slow to fit by likelihood;
//     MADE-MoG and MAF-MoG, which end in mixtures of normals; RQ-NSF (AR) (Durkan et al. 2019)
//   coupling: NICE (Dinh et al. 2015), RealNVP (Dinh et al. 2017), RQ-NSF (C)
//   others: planar and radial (Rezende, Mohamed 2015), Sylvester (van den Berg et al. 2018),
//     residual (Behrmann et al. 2019; Chen et al. 2019)
//   images: RealNVP with checkerboards (Dinh et al. 2017) and Glow (Kingma, Dhariwal 2018), whose
//     layers are repeated at every level of a pyramid
enum class Architecture {
  kMade,
  kMaf,
  kIaf,
  kMadeMog,
  kMafMog,
  kNsfAutoregressive,
  kNice,
  kRealNvp,
  kNsfCoupling,
  kPlanar,
  kRadial,
  kSylvester,
  kResidual,
  kRealNvpImage,
  kGlow,
};

// How the order of columns changes between layers.
enum class Mixing { kNone, kReverse, kRandom, kLu };

// `layers` layers of one architecture. Fields that an architecture does not use are ignored.
struct StackSpec {
  static constexpr int kMaxLayers = 64;
  static constexpr int kMaxLevels = 6;

  Architecture architecture = Architecture::kMaf;
  int layers = 5;  // [0, kMaxLayers]; of Glow, those of a level; of RealNVP on images, couplings of
                   // a kind and level; 0 leaves the linear layers alone: a Gaussian, but for
                   // heavy_tails. MADE and MADE-MoG have at most 1
  std::vector<int> hidden_sizes = {100, 100};  // these three are a NetworkShape; of residual flows,
                                               // sizes to ResidualLayer::kMaxHiddenSize
  bool residual = false;
  Mixing mixing = Mixing::kReverse;
  Activation activation = Activation::kRelu;
  bool act_norm = false;     // an ActNorm (Kingma, Dhariwal 2018) before each layer
  bool batch_norm = false;   // a batch-norm (Dinh et al. 2017) after each layer
  bool whiten = false;       // an LU layer in front, initialised to whiten the training rows, so
                             // that the untrained flow of affine, additive or spline layers is
                             // their full-covariance Gaussian
  bool heavy_tails = false;  // the identity that goes on as a logarithm (core/math/log_tails.h) at
                             // the end
  Mask mask = Mask::kAlternating;  // of couplings; every other layer keeps what the last one moved
  int bins = 8;                    // of splines, [2, 32]
  double bound = 5.0;              // of splines, (0, 1000]
  int components = 10;             // of mixtures, [1, 32]
  int width = 2;                   // of Sylvester layers, [1, min(dim, 32)]
  int levels = 3;  // of images, [1, kMaxLevels]: each halves the sides, of RealNVP all but the last
  bool additive = false;     // of Glow: couplings move and do not scale
  bool weight_norm = false;  // of images: NetworkShape::weight_norm
  friend bool operator==(const StackSpec&, const StackSpec&) = default;
};

// Rows that are images: columns are numbered pixel by pixel, row by row, channels contiguous (HWC).
struct ImageShape {
  int height = 0;
  int width = 0;
  int channels = 0;
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

// A stack, or a chain of layers that the caller composed, data first; exactly one is present.
struct FlowSpec {
  int dim = 0;             // columns of the density, [1, kMaxDim]
  int context_dim = 0;     // columns of the condition, 0 without
  std::uint64_t seed = 0;  // of random permutations and of the initial weights
  // Present: layers are those of images (core/flow/image_chain.h), dim is the product.
  std::optional<ImageShape> image = std::nullopt;
  std::optional<StackSpec> stack = std::nullopt;
  std::optional<std::vector<LayerSpec>> chain = std::nullopt;  // [1, kMaxChain] layers
  BaseSpec base = {};

  static constexpr int kMaxDim = 4096;
  static constexpr int kMaxChain = 256;
  friend bool operator==(const FlowSpec&, const FlowSpec&) = default;
};

// INVALID_ARGUMENT naming the field, its value and what would be right.
absl::Status Validate(const FlowSpec& spec);

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_FLOW_SPEC_H_
