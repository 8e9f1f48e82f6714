// SPDX-License-Identifier: Apache-2.0
// Formulas F the other way round, with the same parameters:
//
//   z = F^-1(x; theta),   log|dz/dx| = -log|dF/dz|
//
// Under an inverted autoregressive layer, the inverse of the affine bijection draws
// x = F^-1(z; theta(z)): what a MAF layer draws from the same parameters.
#ifndef MILLRACE_CORE_MATH_INVERSE_OF_H_
#define MILLRACE_CORE_MATH_INVERSE_OF_H_

#include "core/math/bijection.h"

namespace millrace {

template <typename F>
class InverseOf {
 public:
  explicit InverseOf(F formula) : formula_(formula) {}

  int parameters() const { return formula_.parameters(); }
  Interval Domain() const { return formula_.Range(); }
  Interval Range() const { return formula_.Domain(); }

  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Forward(T x, const T* theta) const {
    return formula_.Inverse(x, theta);
  }

  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Inverse(T z, const T* theta) const {
    return formula_.Forward(z, theta);
  }

  // Of x = F(z) with x kept: theta moves z by -dF/dtheta / F'(z).
  template <typename T>
  MILLRACE_HOST_DEVICE T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) const {
    const T z = formula_.Inverse(x, theta).value;
    const T x_bar = AdjointSolve(formula_, z, theta, z_bar, log_det_bar, theta_bar);
    for (int k = 0; k < parameters(); ++k) theta_bar[k] = -theta_bar[k];
    return x_bar;
  }

 private:
  F formula_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_INVERSE_OF_H_
