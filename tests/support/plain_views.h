// SPDX-License-Identifier: Apache-2.0
// Element access to blocks and parameters of PlainKernels.
#ifndef MILLRACE_TESTS_SUPPORT_PLAIN_VIEWS_H_
#define MILLRACE_TESTS_SUPPORT_PLAIN_VIEWS_H_

#include "core/base/matrix.h"
#include "core/exec/parameters.h"

namespace millrace {

// Element (row r, column c) of a block.
inline double& At(Matrix m, int r, int c) {
  return static_cast<double*>(m.buffer)[m.offset + static_cast<std::ptrdiff_t>(c) * m.stride + r];
}
inline double At(ConstMatrix m, int r, int c) {
  return static_cast<const double*>(
      m.buffer)[m.offset + static_cast<std::ptrdiff_t>(c) * m.stride + r];
}

// Element (r, c) of a parameter, and of its gradient.
inline double At(Weights weights, Slice s, int r, int c) {
  return static_cast<const double*>(
      weights.buffer)[s.offset + static_cast<std::size_t>(r) * s.ld + c];
}
inline double& At(Gradients gradients, Slice s, int r, int c) {
  return static_cast<double*>(gradients.buffer)[s.offset + static_cast<std::size_t>(r) * s.ld + c];
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_PLAIN_VIEWS_H_
