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

namespace millrace {

// How the order of columns changes between autoregressive layers.
enum class Mixing { kNone, kReverse, kRandom, kLu };

// Masked autoregressive flow (Papamakarios, Pavlakou, Murray 2017): `layers` autoregressive
// transforms with MADE conditioners, mixed in between.
struct MafSpec {
  static constexpr int kMaxLayers = 64;
  static constexpr int kMaxHiddenLayers = 16;  // MadeSpec has the same
  static constexpr int kMaxHiddenSize = 8192;

  int layers = 5;  // [0, kMaxLayers]; 0 leaves the linear layers alone: a Gaussian,
                   // but for heavy_tails
  std::vector<int> hidden_sizes = {
      100, 100};  // each [1, kMaxHiddenSize], with a context from 2; residual: all equal, odd
                  // count: an input layer and two layers a residual block
  bool residual = false;  // ResMADE (Durkan et al. 2019) instead of plain MADE
  Mixing mixing = Mixing::kReverse;
  Activation activation = Activation::kRelu;
  bool act_norm = false;  // an ActNorm (Kingma, Dhariwal 2018) before each autoregressive layer
  bool whiten = false;    // an LU layer in front, initialised to whiten the training rows, so that
                          // the untrained flow is their full-covariance Gaussian
  bool heavy_tails = false;  // the identity that goes on as a logarithm (core/math/log_tails.h) at
                             // the end
  friend bool operator==(const MafSpec&, const MafSpec&) = default;
};

// One member a family of architectures; exactly one is present.
struct FlowSpec {
  int dim = 0;             // columns of the density, [1, kMaxDim]
  int context_dim = 0;     // columns of the condition, 0 without
  std::uint64_t seed = 0;  // of random permutations and of the initial weights
  std::optional<MafSpec> maf;

  static constexpr int kMaxDim = 4096;
  friend bool operator==(const FlowSpec&, const FlowSpec&) = default;
};

// INVALID_ARGUMENT naming the field, its value and what would be right.
absl::Status Validate(const FlowSpec& spec);

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_FLOW_SPEC_H_
