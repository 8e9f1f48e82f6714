// SPDX-License-Identifier: Apache-2.0
// The normal distribution function and its inverse, in logarithms: tails neither underflow nor
// cancel. Relative errors below 1e-14 in double and 1e-6 in float (tests/core/math/normal_cdf_test)
// for |x| up to 1e17.
#ifndef MILLRACE_CORE_MATH_NORMAL_CDF_H_
#define MILLRACE_CORE_MATH_NORMAL_CDF_H_

#include "core/math/scalar.h"

namespace millrace {

inline constexpr double kLogTwo = 0.69314718055994530942;
inline constexpr double kHalfLogTwoPi = 0.91893853320467274178;
inline constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;

// Mills' ratio (1 - Phi(t)) / phi(t), the inverse of the hazard; t >= 0, or negative by no more
// than rounding. A Chebyshev series of (1 + t) times it in q = (t - 4) / (t + 4), as Shepherd and
// Laframboise (1981) do for the scaled complementary error function, written in powers of q.
template <typename T>
MILLRACE_HOST_DEVICE inline T MillsRatio(T t) {
  constexpr double kSeries[] = {
      1.18326191456780335,      -0.242399670521808115,    0.0350918802347480072,
      0.0716904812014374305,    -0.0807080096790522992,   0.044959129077069808,
      -0.0125391036203981396,   -0.000715950905283812093, 0.00174184877373258508,
      -0.00023670175882712258,  -0.000220215575695751598, 0.0000532669709383153672,
      0.0000341588143318382073, -8.6061878760969392e-6,   -6.55335445525825295e-6,
      1.01948908709873605e-6,   1.39076270798493177e-6,   -3.10108360975772566e-9,
      -2.86929996520798025e-7,  -4.49491638203861203e-8,  5.07784412233228741e-8,
      1.37230594524596841e-8,   -6.56244023694734113e-9,  -1.69529968188806945e-9,
      4.48023338210053793e-10};
  constexpr int kTerms = sizeof(kSeries) / sizeof(kSeries[0]);
  const T q = (t - T(4.0f)) / (t + T(4.0f));
  T sum(kSeries[kTerms - 1]);
  for (int i = kTerms - 2; i >= 0; --i) sum = sum * q + T(kSeries[i]);
  return sum / (T(1.0f) + t);
}

// ln(1 - u), 0 <= u <= 1/2, to full relative accuracy: -2 artanh(u / (2 - u)).
template <typename T>
MILLRACE_HOST_DEVICE inline T LogOneMinus(T u) {
  const T t = u / (T(2.0f) - u);  // at most 1/3
  const T square = t * t;
  T sum(0.0f);
  for (int odd = 31; odd >= 1; odd -= 2) sum = sum * square + T(1.0 / odd);
  return T(-2.0f) * t * sum;
}

// ln Phi(x).
template <typename T>
MILLRACE_HOST_DEVICE inline T LogNormalCdf(T x) {
  const T t = Abs(x);
  const T log_density = T(-0.5f) * t * t - T(kHalfLogTwoPi);
  const T mills = MillsRatio(t);
  return Select(x < T(0.0f), log_density + Log(mills), LogOneMinus(Exp(log_density) * mills));
}

// The z <= 0 with ln Phi(z) = log_p <= -ln 2; where rounding has made log_p a little larger, z is a
// little above 0. A closed form within 1%, then Halley's method on ln Phi.
template <typename T>
MILLRACE_HOST_DEVICE inline T NormalLowerQuantile(T log_p) {
  const T y = -(log_p + T(kLogTwo));
  const T bend = T(0.785398163397448310) + T(0.214601836602551690) / (T(1.0f) + T(0.3f) * y);
  T z = T(-1.25331413731550025) * y / Sqrt(T(1.0f) + bend * y);
  for (int step = 0; step < 2; ++step) {
    const T mills = MillsRatio(-z);
    const T excess = (T(-0.5f) * z * z - T(kHalfLogTwoPi) + Log(mills) - log_p) * mills;
    z = z - excess / (T(1.0f) + T(0.5f) * excess * (z + T(1.0f) / mills));
  }
  return z;
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_NORMAL_CDF_H_
