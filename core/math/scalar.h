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
MILLRACE_HOST_DEVICE inline float Abs(float x) { return std::fabs(x); }
MILLRACE_HOST_DEVICE inline double Abs(double x) { return std::fabs(x); }
// sin(2 pi x) and cos(2 pi x), x in [0, 1).
MILLRACE_HOST_DEVICE inline float SinTurn(float x) { return std::sin(6.28318530717958648f * x); }
MILLRACE_HOST_DEVICE inline double SinTurn(double x) { return std::sin(6.283185307179586477 * x); }
MILLRACE_HOST_DEVICE inline float CosTurn(float x) { return std::cos(6.28318530717958648f * x); }
MILLRACE_HOST_DEVICE inline double CosTurn(double x) { return std::cos(6.283185307179586477 * x); }
MILLRACE_HOST_DEVICE inline float Select(bool mask, float a, float b) { return mask ? a : b; }
MILLRACE_HOST_DEVICE inline double Select(bool mask, double a, double b) { return mask ? a : b; }

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_SCALAR_H_
