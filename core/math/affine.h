// SPDX-License-Identifier: Apache-2.0
// The affine bijection of MAF (Papamakarios et al. 2017, eq. 4-5), written data -> latent:
//
//   z = x exp(s) + t,   log|dz/dx| = s,   s = SoftClip(a)
//
// with parameters theta = (t, a). The soft clip a / (1 + |a| / c) keeps the scale inside (1/1000,
// 1000) with slope 1 at the origin, so that no parameter, however large, makes a row infinite.
#ifndef MILLRACE_CORE_MATH_AFFINE_H_
#define MILLRACE_CORE_MATH_AFFINE_H_

#include "core/math/scalar.h"

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

// A bijection's value and log|derivative|.
template <typename T>
struct Mapped {
  T value;
  T log_det;
};

template <typename T>
MILLRACE_HOST_DEVICE inline Mapped<T> AffineForward(T x, T t, T a) {
  const T s = SoftClip(a);
  return {x * Exp(s) + t, s};
}

template <typename T>
MILLRACE_HOST_DEVICE inline Mapped<T> AffineInverse(T z, T t, T a) {
  const T s = SoftClip(a);
  return {(z - t) * Exp(-s), -s};
}

template <typename T>
struct AffineBar {
  T x;  // dL/dx
  T t;
  T a;
};

// The adjoint of AffineForward: L depends on z and on log_det.
template <typename T>
MILLRACE_HOST_DEVICE inline AffineBar<T> AffineAdjoint(T x, T a, T z_bar, T log_det_bar) {
  const T x_bar = z_bar * Exp(SoftClip(a));
  return {x_bar, z_bar, (x_bar * x + log_det_bar) * SoftClipDerivative(a)};
}

// What counting log_det as s - penalty * s^2 adds to the adjoint of a.
template <typename T>
MILLRACE_HOST_DEVICE inline T LogScalePenaltyAdjoint(T a, T log_det_bar, T penalty) {
  return T(-2.0f) * penalty * log_det_bar * SoftClip(a) * SoftClipDerivative(a);
}

// The z_bar for which AffineAdjoint returns x_bar: log_det does not depend on x.
template <typename T>
MILLRACE_HOST_DEVICE inline T AffineAdjointSolve(T a, T x_bar) {
  return x_bar * Exp(-SoftClip(a));
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_AFFINE_H_
