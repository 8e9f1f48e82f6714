// SPDX-License-Identifier: Apache-2.0
#include "core/data/lattice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/math/uniform.h"

namespace millrace {
namespace {

// The number that text with so many significant digits would give.
double Written(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*g", digits, value);
  return std::atof(text);
}

TEST(FindLatticeTest, IntegersHaveTheirGreatestCommonDivisor) {
  EXPECT_EQ(FindLattice(std::vector<double>{0, 1, 5}, 0.0)->width, 1.0);
  const auto lattice = FindLattice(std::vector<double>{-7, 3, 23, 33}, 0.0);
  ASSERT_TRUE(lattice);
  EXPECT_EQ(lattice->width, 10.0);
  EXPECT_EQ(lattice->origin, 3.0);
  EXPECT_EQ(NearestLatticePoint(lattice->origin, lattice->width, 24.0), 23.0);
}

TEST(FindLatticeTest, FindsOffsetsAndSteps) {
  const auto half = FindLattice(std::vector<double>{1.5, 2.5, 3.5, 6.5}, 0.1);
  ASSERT_TRUE(half);
  EXPECT_DOUBLE_EQ(half->width, 1.0);
  EXPECT_DOUBLE_EQ(std::abs(half->origin), 0.5);
  const auto quarter = FindLattice(std::vector<double>{0.0, 0.5, 1.25, 2.0}, 0.1);
  ASSERT_TRUE(quarter);
  EXPECT_DOUBLE_EQ(quarter->width, 0.25);  // half the smallest gap
}

// 47_yeast's fifth column: multiples of 0.1316 of which only three occur.
TEST(FindLatticeTest, ThreeExactPointsAreALattice) {
  const double w = 0.1316;
  const auto lattice =
      FindLattice(std::vector<double>{-0.0991, -0.0991 + 2 * w, -0.0991 + 5 * w}, 0.01);
  ASSERT_TRUE(lattice);
  EXPECT_NEAR(lattice->width, w, 1e-12);
}

// Integers less a mean, printed with five digits: the second decimals are lost above 100.
TEST(FindLatticeTest, SeesThroughRoundedDigits) {
  std::vector<double> values;
  for (int k = 0; k < 300; ++k) values.push_back(Written(k - 69.975, 5));
  const auto lattice = FindLattice(values, 0.5);
  ASSERT_TRUE(lattice);
  EXPECT_NEAR(lattice->width, 1.0, 1e-4);
  for (const double v : values)
    EXPECT_LT(std::abs(v - NearestLatticePoint(lattice->origin, lattice->width, v)),
              lattice->tolerance * lattice->width);
}

TEST(FindLatticeTest, RandomNumbersLieOnNone) {
  for (const int count : {3, 4, 6, 20, 200}) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      std::vector<double> values(count);
      for (int i = 0; i < count; ++i) values[i] = UniformAt(seed, 1, i, 0);
      std::sort(values.begin(), values.end());
      EXPECT_FALSE(FindLattice(values, 0.3 / 64)) << count << " numbers, seed " << seed;
    }
  }
}

TEST(FindLatticeTest, OneValueOffItIsTooMany) {
  EXPECT_FALSE(FindLattice(std::vector<double>{0.1, 0.2, 0.3, 0.4437, 0.5, 0.6, 0.7}, 0.01));
}

TEST(FitLatticeTest, TakesTheGivenWidth) {
  const auto lattice = FitLattice(std::vector<double>{0.26, 0.5, 1.25}, 0.25);
  ASSERT_TRUE(lattice);
  EXPECT_EQ(lattice->width, 0.25);
  EXPECT_NEAR(lattice->origin, 0.0033, 1e-3);
  EXPECT_FALSE(FitLattice(std::vector<double>{0.3, 0.5, 1.25}, 0.25));
}

}  // namespace
}  // namespace millrace
