// SPDX-License-Identifier: Apache-2.0
// The identity on [-t, t] that goes on as a logarithm, t = 6, s = 3:
//
//   z = sign(x) (t + s ln(1 + b / s)),   log|dz/dx| = -ln(1 + b / s),   b = max(0, |x| - t)
//
// once continuously differentiable. In front of a standard normal base it gives tails like a
// log-normal's. Affine flows have none heavier than their base's (Jaini, Kobyzev, Yu, Brubaker
// 2020), so that one outlying row in a held-out table may outweigh all others.
#ifndef MILLRACE_CORE_MATH_LOG_TAILS_H_
#define MILLRACE_CORE_MATH_LOG_TAILS_H_

#include "core/math/bijection.h"

namespace millrace {

struct LogTails {
  static constexpr float kBegin = 6.0f;  // t
  static constexpr float kScale = 3.0f;  // s
  // Inverses stop growing at s e^60, far beyond any row: none is infinite by itself.
  static constexpr float kLargestLogSlope = 60.0f;
  // What lies within is left as it is.
  static constexpr float kIdentityWithin = kBegin;

  static constexpr int parameters() { return 0; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return kAllReals; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* /*theta*/) {
    const T log_slope = Log(T(1.0f) + Beyond(x) / T(kScale));
    return {SelectTail(x, x, T(kBegin) + T(kScale) * log_slope), -log_slope};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* /*theta*/) {
    const T exact = Beyond(z) / T(kScale);
    const T log_slope = Select(exact > T(kLargestLogSlope), T(kLargestLogSlope), exact);
    const T magnitude = T(kBegin) + T(kScale) * (Exp(log_slope) - T(1.0f));
    return {SelectTail(z, z, magnitude), log_slope};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T x, const T* /*theta*/, T z_bar, T log_det_bar,
                                        T* /*theta_bar*/) {
    const T slope = T(kScale) / (T(kScale) + Beyond(x));
    const T log_det_slope = SelectTail(x, T(0.0f), T(-1.0f) / (T(kScale) + Beyond(x)));
    return z_bar * slope + log_det_bar * log_det_slope;
  }

 private:
  // b of the formula.
  template <typename T>
  MILLRACE_HOST_DEVICE static T Beyond(T x) {
    const T beyond = Abs(x) - T(kBegin);
    return Select(beyond > T(0.0f), beyond, T(0.0f));
  }

  // `inside` where x has no tail, else +-magnitude with the sign of x.
  template <typename T>
  MILLRACE_HOST_DEVICE static T SelectTail(T x, T inside, T magnitude) {
    const T outside = Select(x < T(0.0f), -magnitude, magnitude);
    return Select(Abs(x) > T(kBegin), outside, inside);
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_LOG_TAILS_H_
