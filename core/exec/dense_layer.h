// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_EXEC_DENSE_LAYER_H_
#define MILLRACE_CORE_EXEC_DENSE_LAYER_H_

#include <span>

#include "core/exec/parameters.h"

namespace millrace {

// Activations whose derivative is a function of their own value, so that one matrix serves the
// adjoint and the next layer.
enum class Activation { kIdentity, kRelu, kTanh, kElu };

// y = W x + b. Row o of W uses the inputs [0, extent[o]) only; `extent` does not decrease with o,
// which makes W block-triangular. Entries of W outside are zero, and their gradients are kept zero.
struct DenseLayer {
  Slice weight;                 // [outputs, inputs]
  Slice bias;                   // [1, outputs]; rows == 0: no bias
  std::span<const int> extent;  // [outputs], or empty: every row uses all inputs
};

// The part of a dense layer one call computes.
struct DenseRange {
  int output_begin = 0;
  int output_end = 0;
  int input_begin = 0;
  int input_end = 0;
};

// What the outputs hold before the products are added.
enum class DenseStart { kBias, kZero, kAccumulate };

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_DENSE_LAYER_H_
