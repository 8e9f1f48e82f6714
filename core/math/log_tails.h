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

#include "core/math/affine.h"
#include "core/math/scalar.h"

namespace millrace {

inline constexpr float kLogTailsBegin = 6.0f;  // t
inline constexpr float kLogTailsScale = 3.0f;  // s
// Inverses stop growing at s e^60, far beyond any row: none is infinite by itself.
inline constexpr float kLargestLogSlope = 60.0f;

// b of the formula.
template <typename T>
MILLRACE_HOST_DEVICE inline T BeyondLogTails(T x) {
  const T beyond = Abs(x) - T(kLogTailsBegin);
  return Select(beyond > T(0.0f), beyond, T(0.0f));
}

// `inside` where x has no tail, else +-magnitude with the sign of x.
template <typename T>
MILLRACE_HOST_DEVICE inline T SelectLogTail(T x, T inside, T magnitude) {
  const T outside = Select(x < T(0.0f), -magnitude, magnitude);
  return Select(Abs(x) > T(kLogTailsBegin), outside, inside);
}

template <typename T>
MILLRACE_HOST_DEVICE inline Mapped<T> LogTailsForward(T x) {
  const T log_slope = Log(T(1.0f) + BeyondLogTails(x) / T(kLogTailsScale));
  return {SelectLogTail(x, x, T(kLogTailsBegin) + T(kLogTailsScale) * log_slope), -log_slope};
}

template <typename T>
MILLRACE_HOST_DEVICE inline Mapped<T> LogTailsInverse(T z) {
  const T exact = BeyondLogTails(z) / T(kLogTailsScale);
  const T log_slope = Select(exact > T(kLargestLogSlope), T(kLargestLogSlope), exact);
  const T magnitude = T(kLogTailsBegin) + T(kLogTailsScale) * (Exp(log_slope) - T(1.0f));
  return {SelectLogTail(z, z, magnitude), log_slope};
}

// d log_det / dx of LogTailsForward.
template <typename T>
MILLRACE_HOST_DEVICE inline T LogTailsLogDetSlope(T x) {
  return SelectLogTail(x, T(0.0f), T(-1.0f) / (T(kLogTailsScale) + BeyondLogTails(x)));
}

// dL/dx: the adjoint of LogTailsForward, L depending on z and on log_det.
template <typename T>
MILLRACE_HOST_DEVICE inline T LogTailsAdjoint(T x, T z_bar, T log_det_bar) {
  const T slope = T(kLogTailsScale) / (T(kLogTailsScale) + BeyondLogTails(x));
  return z_bar * slope + log_det_bar * LogTailsLogDetSlope(x);
}

// The z_bar for which LogTailsAdjoint returns x_bar.
template <typename T>
MILLRACE_HOST_DEVICE inline T LogTailsAdjointSolve(T x, T x_bar, T log_det_bar) {
  const T inverse_slope = T(1.0f) + BeyondLogTails(x) / T(kLogTailsScale);
  return (x_bar - log_det_bar * LogTailsLogDetSlope(x)) * inverse_slope;
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_LOG_TAILS_H_
