// SPDX-License-Identifier: Apache-2.0
// The functions formulas are written in, for float and double. Dual numbers and SIMD packs bring
// their own overloads, which are found by argument-dependent lookup. Formulas never branch on data:
// they compute both sides and Select.
#ifndef MILLRACE_CORE_MATH_SCALAR_H_
#define MILLRACE_CORE_MATH_SCALAR_H_

#include <cmath>

#include "core/math/host_device.h"

namespace millrace {

MILLRACE_HOST_DEVICE inline float Exp(float x) { return std::exp(x); }
MILLRACE_HOST_DEVICE inline double Exp(double x) { return std::exp(x); }
MILLRACE_HOST_DEVICE inline float Log(float x) { return std::log(x); }
MILLRACE_HOST_DEVICE inline double Log(double x) { return std::log(x); }
MILLRACE_HOST_DEVICE inline float Tanh(float x) { return std::tanh(x); }
MILLRACE_HOST_DEVICE inline double Tanh(double x) { return std::tanh(x); }
MILLRACE_HOST_DEVICE inline float Sqrt(float x) { return std::sqrt(x); }
MILLRACE_HOST_DEVICE inline double Sqrt(double x) { return std::sqrt(x); }
MILLRACE_HOST_DEVICE inline float Cbrt(float x) { return std::cbrt(x); }
MILLRACE_HOST_DEVICE inline double Cbrt(double x) { return std::cbrt(x); }
MILLRACE_HOST_DEVICE inline float Abs(float x) { return std::fabs(x); }
MILLRACE_HOST_DEVICE inline double Abs(double x) { return std::fabs(x); }
// sin(2 pi x) and cos(2 pi x); packs take |x| < 2^20.
MILLRACE_HOST_DEVICE inline float SinTurn(float x) { return std::sin(6.28318530717958648f * x); }
MILLRACE_HOST_DEVICE inline double SinTurn(double x) { return std::sin(6.283185307179586477 * x); }
MILLRACE_HOST_DEVICE inline float CosTurn(float x) { return std::cos(6.28318530717958648f * x); }
MILLRACE_HOST_DEVICE inline double CosTurn(double x) { return std::cos(6.283185307179586477 * x); }
MILLRACE_HOST_DEVICE inline float Select(bool mask, float a, float b) { return mask ? a : b; }
MILLRACE_HOST_DEVICE inline double Select(bool mask, double a, double b) { return mask ? a : b; }
// Whether a comparison holds, of packs in any lane: for loops to end early by, on values that each
// lane has frozen for itself.
MILLRACE_HOST_DEVICE inline bool Any(bool mask) { return mask; }

// What follows is made of the functions above, for every T.

// The larger of both; NaN where a is.
template <typename T>
MILLRACE_HOST_DEVICE inline T Max(T a, T b) {
  return Select(a < b, b, a);
}

// The number of [low, high] nearest to x; NaN stays NaN.
template <typename T>
MILLRACE_HOST_DEVICE inline T Clamp(T x, T low, T high) {
  return Select(x < low, low, Select(x > high, high, x));
}

// magnitude >= 0 with the sign of x; positive at 0.
template <typename T>
MILLRACE_HOST_DEVICE inline T WithSignOf(T x, T magnitude) {
  return Select(x < T(0.0f), -magnitude, magnitude);
}

// ln(1 + x) of x >= 0, to the relative accuracy of Log: what rounding takes from 1 + x is made
// good where it is anything. Infinity gives infinity.
template <typename T>
MILLRACE_HOST_DEVICE inline T Log1p(T x) {
  const T sum = T(1.0f) + x;
  return Log(sum) + Select(x < T(1e18f), (x - (sum - T(1.0f))) / sum, T(0.0f));
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_SCALAR_H_
