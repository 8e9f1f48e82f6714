// SPDX-License-Identifier: Apache-2.0
// The affine bijection of RealNVP and MAF (Dinh et al. 2017; Papamakarios et al. 2017, eq. 4-5),
// written data -> latent:
//
//   z = x exp(s) + t,   log|dz/dx| = s,   s = SoftClip(a)
//
// with parameters theta = (t, a). The soft clip a / (1 + |a| / c) keeps the scale inside (1/1000,
// 1000) with slope 1 at the origin, so that no parameter, however large, makes a row infinite.
#ifndef MILLRACE_CORE_MATH_AFFINE_H_
#define MILLRACE_CORE_MATH_AFFINE_H_

#include "core/math/bijection.h"

namespace millrace {

inline constexpr double kLogScaleBound = 6.907755278982137;  // ln 1000
// Of the diagonals of linear layers, which may divide by what columns hardly differ in.
inline constexpr double kLogDiagonalBound = 13.815510557964274;  // ln 1e6

template <typename T>
MILLRACE_HOST_DEVICE inline T SoftClip(T a, double bound = kLogScaleBound) {
  return a / (T(1.0f) + Abs(a) * T(1.0 / bound));
}

template <typename T>
MILLRACE_HOST_DEVICE inline T SoftClipDerivative(T a, double bound = kLogScaleBound) {
  const T q = T(1.0f) / (T(1.0f) + Abs(a) * T(1.0 / bound));
  return q * q;
}

// The a with SoftClip(a) = s; |s| is cut at 0.99 of the bound.
inline double SoftClipInverse(double s, double bound = kLogScaleBound) {
  const double limit = 0.99 * bound;
  s = s > limit ? limit : (s < -limit ? -limit : s);
  return s / (1.0 - Abs(s) / bound);
}

struct Affine {
  static constexpr int parameters() { return 2; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return kAllReals; }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Forward(T x, const T* theta) {
    const T s = SoftClip(theta[1]);
    return {x * Exp(s) + theta[0], s};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static Mapped<T> Inverse(T z, const T* theta) {
    const T s = SoftClip(theta[1]);
    return {(z - theta[0]) * Exp(-s), -s};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) {
    const T x_bar = z_bar * Exp(SoftClip(theta[1]));
    theta_bar[0] = z_bar;
    theta_bar[1] = (x_bar * x + log_det_bar) * SoftClipDerivative(theta[1]);
    return x_bar;
  }
};

// What counting an affine log_det s as s - penalty * s^2 adds to the adjoint of a.
template <typename T>
MILLRACE_HOST_DEVICE inline T LogScalePenaltyAdjoint(T a, T log_det_bar, T penalty) {
  return T(-2.0f) * penalty * log_det_bar * SoftClip(a) * SoftClipDerivative(a);
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_AFFINE_H_
