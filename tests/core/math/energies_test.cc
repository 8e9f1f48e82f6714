// SPDX-License-Identifier: Apache-2.0
// The slopes of the built-in densities, against dual numbers.
#include "core/math/energies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/dual.h"

namespace millrace {
namespace {

template <typename Formula>
class EnergiesTest : public testing::Test {};
using Formulas =
    testing::Types<EnergyU1, EnergyU2, EnergyU3, EnergyU4, BananaEnergy, MixtureEnergy>;
TYPED_TEST_SUITE(EnergiesTest, Formulas);

TYPED_TEST(EnergiesTest, SlopesAreTheDerivatives) {
  for (double x = -6.3; x < 6.5; x += 0.37) {
    for (double y = -6.1; y < 6.5; y += 0.41) {
      const PlaneSlope<double> slope = TypeParam::Slope(x, y);
      const double along_x = TypeParam::LogDensity(Variable(x), Dual(y)).slope;
      const double along_y = TypeParam::LogDensity(Dual(x), Variable(y)).slope;
      ASSERT_NEAR(slope.x, along_x, 1e-9 * std::max(1.0, std::fabs(along_x))) << x << " " << y;
      ASSERT_NEAR(slope.y, along_y, 1e-9 * std::max(1.0, std::fabs(along_y))) << x << " " << y;
    }
  }
}

TYPED_TEST(EnergiesTest, FiniteFarOutAndAtTheOrigin) {
  for (const double x : {-1e4, -50.0, 0.0, 50.0, 1e4}) {
    for (const double y : {-1e4, 0.0, 1e4}) {
      const PlaneSlope<double> slope = TypeParam::Slope(x, y);
      EXPECT_TRUE(std::isfinite(TypeParam::LogDensity(x, y))) << x << " " << y;
      EXPECT_TRUE(std::isfinite(slope.x) && std::isfinite(slope.y)) << x << " " << y;
    }
  }
}

// By hand from the formulas of the paper.
TEST(EnergyFormulasTest, AreThoseOfThePaper) {
  EXPECT_NEAR(EnergyU1::LogDensity(2.0, 0.0), std::log1p(std::exp(-0.5 * 16 / 0.36)), 1e-12);
  EXPECT_NEAR(EnergyU2::LogDensity(1.0, 1.4), -0.5, 1e-12);
  EXPECT_NEAR(EnergyU3::LogDensity(1.0, 1.0), std::log1p(std::exp(-0.5 * 9 / (0.35 * 0.35))),
              1e-12);
  EXPECT_NEAR(EnergyU4::LogDensity(1.0, -0.5),
              std::log(std::exp(-0.5 * 2.25 / 0.16) + std::exp(0.0)), 1e-12);
}

}  // namespace
}  // namespace millrace
