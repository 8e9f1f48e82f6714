// SPDX-License-Identifier: Apache-2.0
// The additive bijection of NICE (Dinh, Krueger, Bengio 2015, sec. 3.2), a shift:
//
//   z = x + t,   log|dz/dx| = 0
#ifndef MILLRACE_CORE_MATH_ADDITIVE_H_
#define MILLRACE_CORE_MATH_ADDITIVE_H_

#include "core/math/bijection.h"

namespace millrace {

struct Additive {
  static constexpr int parameters() { return 1; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return kAllReals; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* theta) {
    return {x + theta[0], T(0.0f)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* theta) {
    return {z - theta[0], T(0.0f)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T /*x*/, const T* /*theta*/, T z_bar, T /*log_det_bar*/,
                                        T* theta_bar) {
    theta_bar[0] = z_bar;
    return z_bar;
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_ADDITIVE_H_
