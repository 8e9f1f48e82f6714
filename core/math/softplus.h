// SPDX-License-Identifier: Apache-2.0
// Softplus, from the reals to the positive numbers:
//
//   z = ln(1 + e^x),   log|dz/dx| = x - z = -ln(1 + e^-x),   x = z + ln(1 - e^-z)
//
// A latent counts as kSmallest at least, from either side, so that both directions stay finite.
#ifndef MILLRACE_CORE_MATH_SOFTPLUS_H_
#define MILLRACE_CORE_MATH_SOFTPLUS_H_

#include "core/math/bijection.h"

namespace millrace {

struct SoftplusMap {
  static constexpr float kSmallest = 0x1p-100f;

  static constexpr int parameters() { return 0; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return {0.0, INFINITY}; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* /*theta*/) {
    const T rest = Log1p(Exp(-Abs(x)));
    return {Max(Max(x, T(0.0f)) + rest, T(kSmallest)), -(Max(-x, T(0.0f)) + rest)};
  }

  // With t = tanh(z / 2), 1 - e^-z = 2 t / (1 + t), which keeps its digits at small z.
  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* /*theta*/) {
    z = Max(z, T(kSmallest));
    const T t = Tanh(z * T(0.5f));
    const T log_slope = Log((t + t) / (T(1.0f) + t));
    return {z + log_slope, -log_slope};
  }

  // The slope is sigmoid(x), that of log_det sigmoid(-x).
  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T x, const T* /*theta*/, T z_bar, T log_det_bar,
                                        T* /*theta_bar*/) {
    const T e = Exp(-Abs(x));
    const T larger = T(1.0f) / (T(1.0f) + e);
    const T smaller = e * larger;
    const auto negative = x < T(0.0f);
    return z_bar * Select(negative, smaller, larger) +
           log_det_bar * Select(negative, larger, smaller);
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_SOFTPLUS_H_
