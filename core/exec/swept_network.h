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
  int parameters = 0;     // of the scalar bijection: the outputs of one column
  bool residual = false;  // as Network
  Activation activation = Activation::kRelu;
};

// What a sweep has found. Hidden units and parameters that are still to be found hold the part of
// their sums that was found before.
struct SweptUnits {
  std::span<const Matrix> value;  // of each hidden layer
  Matrix skip;                    // h of a residual network
  Matrix theta;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_SWEPT_NETWORK_H_
