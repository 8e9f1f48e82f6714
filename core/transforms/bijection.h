// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_TRANSFORMS_BIJECTION_H_
#define MILLRACE_CORE_TRANSFORMS_BIJECTION_H_

#include "core/exec/pass.h"

namespace millrace {

// A scalar bijection on every column of x, log-dets added to log_det or, where the pass asks for
// them, to each column's own vector.
inline void ForwardBijection(Pass& pass, ScalarBijection bijection, ConstMatrix theta, Matrix x,
                             Vector log_det) {
  if (pass.column_log_det.empty()) {
    pass.kernels.BijectionForward(bijection, theta, x, log_det);
    return;
  }
  const int p = bijection.parameters();
  for (int c = 0; c < x.cols; ++c)
    pass.kernels.BijectionForward(bijection, theta.Columns(c * p, p), x.Columns(c, 1),
                                  pass.column_log_det[c]);
}

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_BIJECTION_H_
