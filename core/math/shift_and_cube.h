// SPDX-License-Identifier: Apache-2.0
// A shift and a cube:
//
//   z = u^3,   log|dz/dx| = ln 3 u^2,   u = x + t
//
// with the parameter theta = (t). The slope is 0 at u = 0, where a density would be infinite:
// log_det stops falling at ln 1e-12, with adjoint 0 below. |u| counts as 1e12 at most, so that no
// cube overflows.
#ifndef MILLRACE_CORE_MATH_SHIFT_AND_CUBE_H_
#define MILLRACE_CORE_MATH_SHIFT_AND_CUBE_H_

#include "core/math/bijection.h"

namespace millrace {

struct ShiftAndCube {
  static constexpr float kSmallestSlope = 1e-12f;
  static constexpr float kLargest = 1e12f;  // |u|

  static constexpr int parameters() { return 1; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return kAllReals; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* theta) {
    const T u = Shifted(x, theta);
    return {u * u * u, LogSlope(u)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* theta) {
    const T u = Clamp(Cbrt(z), T(-kLargest), T(kLargest));
    return {u - theta[0], -LogSlope(u)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) {
    const T u = Shifted(x, theta);
    const T slope = Slope(u);
    const auto falls = slope > T(kSmallestSlope);
    const T u_or_one = Select(falls, u, T(1.0f));
    theta_bar[0] = z_bar * slope + Select(falls, log_det_bar * T(2.0f) / u_or_one, T(0.0f));
    return theta_bar[0];
  }

 private:
  template <typename T>
  MILLRACE_HOST_DEVICE static T Shifted(T x, const T* theta) {
    return Clamp(x + theta[0], T(-kLargest), T(kLargest));
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Slope(T u) {
    return T(3.0f) * u * u;
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T LogSlope(T u) {
    return Log(Max(Slope(u), T(kSmallestSlope)));
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_SHIFT_AND_CUBE_H_
