// SPDX-License-Identifier: Apache-2.0
#include "core/math/gamma.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/support/dual.h"

namespace millrace {
namespace {

constexpr double kEuler = 0.57721566490153286061;

TEST(GammaTest, LogGammaAgreesWithTheLibrary) {
  for (double x = 0.5; x < 2000; x *= 1.01)
    EXPECT_NEAR(LogGamma(x), std::lgamma(x), 1e-13 * std::max(1.0, std::lgamma(x))) << x;
}

TEST(GammaTest, KnownValuesOfDigamma) {
  EXPECT_NEAR(Digamma(1.0), -kEuler, 1e-13);
  EXPECT_NEAR(Digamma(0.5), -kEuler - 2 * std::numbers::ln2, 1e-13);
  double harmonic = 0.0;
  for (int n = 1; n < 600; ++n) {
    harmonic += 1.0 / n;
    EXPECT_NEAR(Digamma(n + 1.0), harmonic - kEuler, 1e-13 * std::max(1.0, harmonic)) << n;
  }
}

TEST(GammaTest, DigammaIsTheSlopeOfLogGamma) {
  for (double x = 0.5; x < 2000; x *= 1.01)
    EXPECT_NEAR(Digamma(x), LogGamma(Variable(x)).slope, 1e-12 * std::max(1.0, std::log(x))) << x;
}

}  // namespace
}  // namespace millrace
