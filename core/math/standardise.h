// SPDX-License-Identifier: Apache-2.0
// What batch normalisation (Ioffe, Szegedy 2015) does with a mean m and a variance v:
//
//   z = (x - m) / sqrt(v + e),   log|dz/dx| = -ln(v + e) / 2,   e = 1e-5
//
// theta = (m, v); a v outside [0, 1e12] counts as the nearest inside.
#ifndef MILLRACE_CORE_MATH_STANDARDISE_H_
#define MILLRACE_CORE_MATH_STANDARDISE_H_

#include "core/math/bijection.h"

namespace millrace {

struct Standardise {
  static constexpr float kLeastVariance = 1e-5f;  // e
  static constexpr float kLargestVariance = 1e12f;

  static constexpr int parameters() { return 2; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return kAllReals; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* theta) {
    const T variance = Variance(theta);
    return {(x - theta[0]) / Sqrt(variance), T(-0.5f) * Log(variance)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* theta) {
    const T variance = Variance(theta);
    return {z * Sqrt(variance) + theta[0], T(0.5f) * Log(variance)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) {
    const T variance = Variance(theta);
    const T x_bar = z_bar / Sqrt(variance);
    theta_bar[0] = -x_bar;
    const T variance_bar = T(-0.5f) * (x_bar * (x - theta[0]) + log_det_bar) / variance;
    theta_bar[1] = Select(theta[1] < T(0.0f), T(0.0f),
                          Select(theta[1] > T(kLargestVariance), T(0.0f), variance_bar));
    return x_bar;
  }

 private:
  template <typename T>
  MILLRACE_HOST_DEVICE static T Variance(const T* theta) {
    return Clamp(theta[1], T(0.0f), T(kLargestVariance)) + T(kLeastVariance);
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_STANDARDISE_H_
