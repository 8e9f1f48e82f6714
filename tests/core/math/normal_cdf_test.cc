// SPDX-License-Identifier: Apache-2.0
#include "core/math/normal_cdf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numbers>

#include "core/cpu/pack.h"
#include "tests/support/dual.h"

namespace millrace {
namespace {

// ln Phi by the standard library, whose erfc does not underflow for |x| <= 37.
double LibraryLogCdf(double x) {
  const double tail = 0.5 * std::erfc(std::fabs(x) / std::numbers::sqrt2);
  return x < 0 ? std::log(tail) : std::log1p(-tail);
}

double RelativeError(double actual, double expected) { return std::fabs(actual / expected - 1); }

TEST(NormalCdfTest, LogCdfAgreesWithTheLibrary) {
  for (double x = -37; x <= 37; x += 0.0131) {
    EXPECT_LE(RelativeError(LogNormalCdf(x), LibraryLogCdf(x)), 1e-12) << x;
    const auto single = static_cast<float>(x);
    if (x > 12) continue;  // 1 - Phi is below the smallest numbers packs know
    EXPECT_LE(RelativeError(LogNormalCdf(Pack(single)).v[0], LibraryLogCdf(single)), 1e-5) << x;
  }
}

// 1 - 1/t^2 + 3/t^4 - 15/t^6, of t times Mills' ratio, where the next term is below 1e-14.
TEST(NormalCdfTest, LogCdfFollowsItsAsymptoticSeries) {
  for (double t = 200; t < 1e17; t *= 1.7) {
    const double u = 1 / (t * t);
    const double exact = -0.5 * t * t - kHalfLogTwoPi - std::log(t) + std::log1p(-u + 3 * u * u);
    EXPECT_LE(RelativeError(LogNormalCdf(-t), exact), 1e-15) << t;
    EXPECT_LE(RelativeError(LogNormalCdf(Pack(static_cast<float>(-t))).v[0], exact), 1e-6) << t;
    EXPECT_LE(RelativeError(MillsRatio(t) * t, 1 - u), 1e-8);
  }
}

TEST(NormalCdfTest, TabulatedValues) {
  // Abramowitz and Stegun, 26.1 and 26.2; the last by erfc in 30 digits.
  EXPECT_DOUBLE_EQ(LogNormalCdf(0.0), -std::numbers::ln2);
  EXPECT_LE(RelativeError(std::exp(LogNormalCdf(-1.0)), 0.15865525393145705), 1e-14);
  EXPECT_LE(RelativeError(std::exp(LogNormalCdf(-3.0)), 1.3498980316300946e-3), 1e-13);
  EXPECT_LE(RelativeError(std::exp(LogNormalCdf(-10.0)), 7.6198530241605261e-24), 1e-13);
  EXPECT_LE(RelativeError(LogNormalCdf(-38.0), -726.55721601882013), 1e-15);
}

TEST(NormalCdfTest, LogOneMinusIsAccurateForTinyArguments) {
  for (double u = 0.5; u > 1e-300; u *= 0.37)
    EXPECT_LE(RelativeError(LogOneMinus(u), std::log1p(-u)), 1e-15) << u;
}

TEST(NormalCdfTest, KnownQuantiles) {
  const auto quantile = [](double p) { return NormalLowerQuantile(std::log(p)); };
  EXPECT_NEAR(quantile(0.5), 0.0, 1e-15);
  EXPECT_NEAR(quantile(0.25), -0.67448975019608171, 1e-14);
  EXPECT_NEAR(quantile(0.1), -1.2815515655446004, 1e-14);
  EXPECT_NEAR(quantile(0.025), -1.9599639845400545, 1e-14);
  EXPECT_NEAR(quantile(0.001), -3.0902323061678132, 1e-14);
  EXPECT_NEAR(quantile(1e-6), -4.7534243088228987, 1e-14);
  EXPECT_NEAR(quantile(1e-12), -7.0344838253011319, 1e-13);
}

TEST(NormalCdfTest, QuantileUndoesLogCdf) {
  for (double z = -1e-8; z > -1e17; z *= 1.03) {
    EXPECT_NEAR(NormalLowerQuantile(LogNormalCdf(z)), z, 1e-14 * (1 + std::fabs(z))) << z;
    const auto single = static_cast<float>(z);
    EXPECT_NEAR(NormalLowerQuantile(LogNormalCdf(Pack(single))).v[0], single,
                5e-7 * (1 + std::fabs(z)))
        << z;
    EXPECT_NEAR(NormalLowerQuantile(LogNormalCdf(Variable(z))).slope, 1.0, 1e-13) << z;
  }
}

// A probability that rounding has put above one half.
TEST(NormalCdfTest, QuantileGoesOnSmoothlyThroughTheMedian) {
  for (const double excess : {0.0, 1e-15, 1e-7, 1e-6})
    EXPECT_NEAR(NormalLowerQuantile(-std::numbers::ln2 + excess),
                excess * std::sqrt(std::numbers::pi / 2), 1e-12)
        << excess;
}

TEST(NormalCdfTest, EveryLaneOfAPackGivesTheSameBits) {
  Pack x;
  for (int lane = 0; lane < Pack::kWidth; ++lane) x.v[lane] = -std::exp2(static_cast<float>(lane));
  const Pack all = NormalLowerQuantile(LogNormalCdf(x));
  for (int lane = 0; lane < Pack::kWidth; ++lane)
    EXPECT_EQ(NormalLowerQuantile(LogNormalCdf(Pack(x.v[lane]))).v[0], all.v[lane]) << lane;
}

}  // namespace
}  // namespace millrace
