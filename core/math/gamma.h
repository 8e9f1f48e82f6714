// SPDX-License-Identifier: Apache-2.0
// ln Gamma and its derivative for x >= 1/2, within 1e-13 of max(1, |value|) in double: eight steps
// of the recurrence Gamma(x + 1) = x Gamma(x), then Stirling's series.
#ifndef MILLRACE_CORE_MATH_GAMMA_H_
#define MILLRACE_CORE_MATH_GAMMA_H_

#include "core/math/normal_cdf.h"
#include "core/math/scalar.h"

namespace millrace {

inline constexpr int kGammaSteps = 8;

template <typename T>
MILLRACE_HOST_DEVICE inline T LogGamma(T x) {
  constexpr double kSeries[] = {1.0 / 12,   -1.0 / 360,      1.0 / 1260, -1.0 / 1680,
                                1.0 / 1188, -691.0 / 360360, 1.0 / 156};
  T product(1.0f);
  for (int i = 0; i < kGammaSteps; ++i) product = product * (x + T(static_cast<double>(i)));
  const T y = x + T(static_cast<double>(kGammaSteps));
  const T square = T(1.0f) / (y * y);
  T series(0.0f);
  for (int i = 6; i >= 0; --i) series = series * square + T(kSeries[i]);
  return (y - T(0.5f)) * Log(y) - y + T(kHalfLogTwoPi) + series / y - Log(product);
}

// d LogGamma / dx.
template <typename T>
MILLRACE_HOST_DEVICE inline T Digamma(T x) {
  constexpr double kSeries[] = {1.0 / 12,  -1.0 / 120,     1.0 / 252, -1.0 / 240,
                                1.0 / 132, -691.0 / 32760, 1.0 / 12};
  T sum(0.0f);
  for (int i = 0; i < kGammaSteps; ++i) sum = sum + T(1.0f) / (x + T(static_cast<double>(i)));
  const T y = x + T(static_cast<double>(kGammaSteps));
  const T square = T(1.0f) / (y * y);
  T series(0.0f);
  for (int i = 6; i >= 0; --i) series = (series + T(kSeries[i])) * square;
  return Log(y) - T(0.5f) / y - series - sum;
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_GAMMA_H_
