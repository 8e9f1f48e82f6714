// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_TRANSFORMS_BIJECTION_H_
#define MILLRACE_CORE_TRANSFORMS_BIJECTION_H_

#include <numeric>
#include <span>
#include <vector>

#include "core/exec/pass.h"

namespace millrace {

// 0, 1, ... dim - 1.
inline std::vector<int> AllColumns(int dim) {
  std::vector<int> columns(dim);
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

// A scalar bijection on every column of x, forward or inverse. Log-dets are added to log_det or,
// where the pass asks for them, to the vectors of columns[0], columns[1], ... of the row.
inline void ForwardBijection(Pass& pass, ScalarBijection bijection, const ConstMatrix& theta,
                             const Matrix& x, std::span<const int> columns, Vector log_det) {
  if (pass.column_log_det.empty()) {
    pass.kernels.BijectionForward(bijection, theta, x, log_det);
    return;
  }
  const int p = bijection.parameters();
  for (int c = 0; c < x.cols; ++c)
    pass.kernels.BijectionForward(bijection, theta.Columns(c * p, p), x.Columns(c, 1),
                                  pass.column_log_det[columns[c]]);
}

inline void InverseBijection(Pass& pass, ScalarBijection bijection, const ConstMatrix& theta,
                             const Matrix& z, std::span<const int> columns, Vector log_det) {
  if (pass.column_log_det.empty()) {
    pass.kernels.BijectionInverse(bijection, theta, z, log_det);
    return;
  }
  const int p = bijection.parameters();
  for (int c = 0; c < z.cols; ++c)
    pass.kernels.BijectionInverse(bijection, theta.Columns(c * p, p), z.Columns(c, 1),
                                  pass.column_log_det[columns[c]]);
}

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_BIJECTION_H_
