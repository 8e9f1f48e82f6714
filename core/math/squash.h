// SPDX-License-Identifier: Apache-2.0
// Three maps of the reals into an interval, with e = exp(-|x|):
//
//   sigmoid    z = 1 / (1 + exp(-x))   log|dz/dx| = -|x| - 2 ln(1 + e)
//   tanh       z = tanh x              log|dz/dx| = 2 (ln 2 - |x| - ln(1 + e^2))
//   softsign   z = x / (1 + |x|)       log|dz/dx| = -2 ln(1 + |x|)
//
// Their inverses are the logit, atanh and z / (1 - |z|). The intervals are open: a latent counts as
// no closer to 1 or -1 than kBelowOne, from either side, to 0 than Sigmoid's kSmallest. So every
// float has a finite inverse: of at most 17 for sigmoid, 8.7 for tanh and 1.7e7 for softsign.
#ifndef MILLRACE_CORE_MATH_SQUASH_H_
#define MILLRACE_CORE_MATH_SQUASH_H_

#include "core/math/bijection.h"

namespace millrace {

inline constexpr float kBelowOne = 0x1.fffffep-1f;  // the largest float below 1

struct SigmoidMap {
  static constexpr float kSmallest = 0x1p-100f;

  static constexpr int parameters() { return 0; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return {0.0, 1.0}; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* /*theta*/) {
    const T e = Exp(-Abs(x));
    const T z = Select(x < T(0.0f), e, T(1.0f)) / (T(1.0f) + e);
    return {Clamp(z, T(kSmallest), T(kBelowOne)), LogSlope(x)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* /*theta*/) {
    z = Clamp(z, T(kSmallest), T(kBelowOne));
    const T x = Log(z / (T(1.0f) - z));
    return {x, -LogSlope(x)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T x, const T* /*theta*/, T z_bar, T log_det_bar,
                                        T* /*theta_bar*/) {
    const T e = Exp(-Abs(x));
    const T d = T(1.0f) / (T(1.0f) + e);
    return z_bar * (e * d * d) - log_det_bar * WithSignOf(x, (T(1.0f) - e) * d);
  }

 private:
  template <typename T>
  MILLRACE_HOST_DEVICE static T LogSlope(T x) {
    return -Abs(x) - T(2.0f) * Log1p(Exp(-Abs(x)));
  }
};

struct TanhMap {
  static constexpr int parameters() { return 0; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return {-1.0, 1.0}; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* /*theta*/) {
    return {Clamp(Tanh(x), T(-kBelowOne), T(kBelowOne)), LogSlope(x)};
  }

  // |x| = ln(1 + 2 |z| / (1 - |z|)) / 2.
  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* /*theta*/) {
    const T size = Clamp(Abs(z), T(0.0f), T(kBelowOne));
    const T x = WithSignOf(z, T(0.5f) * Log1p((size + size) / (T(1.0f) - size)));
    return {x, -LogSlope(x)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T x, const T* /*theta*/, T z_bar, T log_det_bar,
                                        T* /*theta_bar*/) {
    const T e = Exp(T(-2.0f) * Abs(x));
    const T d = T(1.0f) / (T(1.0f) + e);
    return z_bar * (T(4.0f) * e * d * d) - log_det_bar * WithSignOf(x, T(2.0f) * (T(1.0f) - e) * d);
  }

 private:
  template <typename T>
  MILLRACE_HOST_DEVICE static T LogSlope(T x) {
    const T size = Abs(x);
    return T(2.0f) * (T(0.693147180559945309) - size - Log1p(Exp(T(-2.0f) * size)));
  }
};

struct SoftsignMap {
  static constexpr int parameters() { return 0; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return {-1.0, 1.0}; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* /*theta*/) {
    const T z = x / (T(1.0f) + Abs(x));
    return {Clamp(z, T(-kBelowOne), T(kBelowOne)), LogSlope(x)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* /*theta*/) {
    z = Clamp(z, T(-kBelowOne), T(kBelowOne));
    const T x = z / (T(1.0f) - Abs(z));
    return {x, -LogSlope(x)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T x, const T* /*theta*/, T z_bar, T log_det_bar,
                                        T* /*theta_bar*/) {
    const T d = T(1.0f) / (T(1.0f) + Abs(x));
    return z_bar * (d * d) - log_det_bar * WithSignOf(x, T(2.0f) * d);
  }

 private:
  template <typename T>
  MILLRACE_HOST_DEVICE static T LogSlope(T x) {
    return T(-2.0f) * Log1p(Abs(x));
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_SQUASH_H_
