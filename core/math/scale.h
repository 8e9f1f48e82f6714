// SPDX-License-Identifier: Apache-2.0
// The diagonal scaling of NICE (Dinh, Krueger, Bengio 2015, sec. 3.3) with a soft-clipped
// logarithm:
//
//   z = x exp(s),   log|dz/dx| = s,   s = SoftClip(a)
#ifndef MILLRACE_CORE_MATH_SCALE_H_
#define MILLRACE_CORE_MATH_SCALE_H_

#include "core/math/affine.h"
#include "core/math/bijection.h"

namespace millrace {

struct Scale {
  static constexpr int parameters() { return 1; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return kAllReals; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* theta) {
    const T s = SoftClip(theta[0]);
    return {x * Exp(s), s};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* theta) {
    const T s = SoftClip(theta[0]);
    return {z * Exp(-s), -s};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) {
    const T x_bar = z_bar * Exp(SoftClip(theta[0]));
    theta_bar[0] = (x_bar * x + log_det_bar) * SoftClipDerivative(theta[0]);
    return x_bar;
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_SCALE_H_
