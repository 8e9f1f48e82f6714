// SPDX-License-Identifier: Apache-2.0
// A masked network as a sweep sees it, which computes it while its inputs are being found column by
// column: core/conditioners/made.h.
#ifndef MILLRACE_CORE_EXEC_SWEPT_NETWORK_H_
#define MILLRACE_CORE_EXEC_SWEPT_NETWORK_H_

#include <array>
#include <span>
#include <vector>

#include "core/base/matrix.h"
#include "core/exec/dense_layer.h"

namespace millrace {

struct SweptNetwork {
  static constexpr int kMaxLayers = 17;

  std::span<const DenseLayer> layers;  // hidden layers, then the output
  // ends[l][k]: of the inputs of layer l, which are sorted by degree, the end of those of degree at
  // most k. Column i, from 0, has degree i + 1.
  std::span<const std::vector<int>> ends;
  bool conditional = false;  // layer 0 sums a context too
  int parameters = 0;        // of the scalar bijection: the outputs of one column
  bool residual = false;     // as Network
  Activation activation = Activation::kRelu;

  // Whether nothing but its biases contributes to layer l before column `first` is known.
  bool StartsAtBias(int l, int first) const { return first == 0 && !(l == 0 && conditional); }
  int hidden() const { return static_cast<int>(layers.size()) - 1; }
  // Units of hidden layer l of degree below `degree`; of the output, parameters of columns before
  // `degree`.
  int UnitsBelow(int l, int degree) const {
    if (l == hidden()) return degree * parameters;
    return degree == 0 ? 0 : ends[l + 1][degree - 1];
  }
};

// What a sweep has found. Hidden units and parameters of the group of columns that comes next hold
// their biases and what is known to contribute to them, but where the network StartsAtBias.
// Whole matrices, as NewRows gives them, all of them flat or none.
struct SweptUnits {
  std::span<const Matrix> value;  // of each hidden layer
  Matrix skip;                    // h of a residual network
  Matrix theta;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_SWEPT_NETWORK_H_
