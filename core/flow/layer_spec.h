// SPDX-License-Identifier: Apache-2.0
// One layer of a flow: which transform, with its sizes. Plain values.
#ifndef MILLRACE_CORE_FLOW_LAYER_SPEC_H_
#define MILLRACE_CORE_FLOW_LAYER_SPEC_H_

#include <optional>
#include <vector>

#include "core/exec/kernels.h"
#include "core/transforms/mask.h"

namespace millrace {

// The hidden part of a conditioner.
struct NetworkShape {
  static constexpr int kMaxHiddenLayers = 16;  // NetworkSpec has the same
  static constexpr int kMaxHiddenSize = 8192;

  std::vector<int> hidden_sizes = {100, 100};  // each [1, kMaxHiddenSize]; residual: all equal, odd
                                               // count: an input layer and two layers a block
  bool residual = false;  // ResMADE (Durkan et al. 2019) instead of a plain network
  Activation activation = Activation::kRelu;
  bool weight_norm = false;  // weight normalisation (Salimans, Kingma 2016), of residual networks
                             // of convolutions only
  friend bool operator==(const NetworkShape&, const NetworkShape&) = default;
};

struct AutoregressiveLayer {
  ScalarBijection bijection = {};
  NetworkShape network = {};  // with a context, sizes from 2
  friend bool operator==(const AutoregressiveLayer&, const AutoregressiveLayer&) = default;
};

struct CouplingLayer {
  ScalarBijection bijection = {};
  NetworkShape network = {};
  Mask mask = Mask::kAlternating;
  bool flip = false;  // exchange kept and moved columns
  int draw = 0;       // [0, 1000]; random masks of the same draw keep the same columns
  friend bool operator==(const CouplingLayer&, const CouplingLayer&) = default;
};

struct PermutationLayer {
  bool reverse = false;  // else random
  int draw = 0;          // [0, 1000]; random permutations of the same draw are the same
  friend bool operator==(const PermutationLayer&, const PermutationLayer&) = default;
};

// z = W x + b, W in LU form.
struct LinearLayer {
  enum class Start {
    kIdentity,
    kWhiten,    // whitens the training rows
    kRotation,  // a random rotation, in PLU form with P fixed; of at most kMaxRotationDim columns
  };
  static constexpr int kMaxRotationDim = 512;

  Start start = Start::kIdentity;
  friend bool operator==(const LinearLayer&, const LinearLayer&) = default;
};

struct NormLayer {
  bool batch = false;  // batch-norm by running statistics, else ActNorm
  friend bool operator==(const NormLayer&, const NormLayer&) = default;
};

struct ResidualLayer {
  static constexpr int kMaxHiddenSize = 1024;  // the bound that guards the inverse is O(size^3)

  NetworkShape network = {.activation = Activation::kTanh};  // not residual itself, always tanh
  friend bool operator==(const ResidualLayer&, const ResidualLayer&) = default;
};

// Of images: 2 x 2 pixels become one of four times the channels. Where the height or the width is
// odd, its last row or column leaves first: its pixels are standardised by a location and a scale
// that a convolution network computes from the others, and no layer that follows moves them.
struct SqueezeLayer {
  NetworkShape network = {.hidden_sizes = {}};  // of the odd edge
  friend bool operator==(const SqueezeLayer&, const SqueezeLayer&) = default;
};

// Of images of two channels or more: the second half of the channels leaves, in the same way (Dinh
// et al. 2017, section 3.6; with a learned prior as in Kingma, Dhariwal 2018).
struct FactorOutLayer {
  NetworkShape network = {.hidden_sizes = {}};
  friend bool operator==(const FactorOutLayer&, const FactorOutLayer&) = default;
};

// Exactly one transform is present.
struct LayerSpec {
  std::optional<AutoregressiveLayer> autoregressive = std::nullopt;
  std::optional<CouplingLayer> coupling = std::nullopt;
  std::optional<ScalarBijection> elementwise = std::nullopt;
  std::optional<PermutationLayer> permutation = std::nullopt;
  std::optional<LinearLayer> linear = std::nullopt;
  std::optional<NormLayer> norm = std::nullopt;
  std::optional<VectorBijection> vector = std::nullopt;
  std::optional<ResidualLayer> residual = std::nullopt;
  std::optional<SqueezeLayer> squeeze = std::nullopt;
  std::optional<FactorOutLayer> factor_out = std::nullopt;
  bool inverse = false;  // the transform the other way round; not of layers that start from the
                         // training rows: norm, and linear with kWhiten
  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_LAYER_SPEC_H_
