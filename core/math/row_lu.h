// SPDX-License-Identifier: Apache-2.0
// L U = I + J of small matrices J, one a row, without pivoting. Where the spectral norm of J is
// below 1, so is that of each leading block: all of I + J's leading minors are positive, no pivot
// is 0, and none is negative.
//
// A Row (core/math/vector_bijection.h) holds entry (i, j) at j * n + i.
#ifndef MILLRACE_CORE_MATH_ROW_LU_H_
#define MILLRACE_CORE_MATH_ROW_LU_H_

#include "core/math/scalar.h"

namespace millrace {

// J becomes L below the diagonal and U from there on; returns log|det(I + J)|.
template <typename Row, typename T = typename Row::Value>
MILLRACE_HOST_DEVICE inline T FactoriseIdentityPlus(Row m, int n) {
  T log_det(0.0f);
  for (int k = 0; k < n; ++k) m.Set(k * n + k, m[k * n + k] + T(1.0f));
  for (int k = 0; k < n; ++k) {
    const T pivot = m[k * n + k];
    log_det = log_det + Log(Abs(pivot));
    for (int i = k + 1; i < n; ++i) m.Set(k * n + i, m[k * n + i] / pivot);
    for (int j = k + 1; j < n; ++j) {
      const T upper = m[j * n + k];
      for (int i = k + 1; i < n; ++i) m.Set(j * n + i, m[j * n + i] - m[k * n + i] * upper);
    }
  }
  return log_det;
}

// g becomes the v with (L U)^T v = g.
template <typename X, typename Row, typename T = typename Row::Value>
MILLRACE_HOST_DEVICE inline void SolveTransposed(X lu, int n, Row g) {
  for (int j = 0; j < n; ++j) {
    T sum = g[j];
    for (int i = 0; i < j; ++i) sum = sum - lu[j * n + i] * g[i];
    g.Set(j, sum / lu[j * n + j]);
  }
  for (int j = n - 1; j >= 0; --j) {
    T sum = g[j];
    for (int i = j + 1; i < n; ++i) sum = sum - lu[j * n + i] * g[i];
    g.Set(j, sum);
  }
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_ROW_LU_H_
