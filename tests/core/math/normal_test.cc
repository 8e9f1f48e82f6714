// SPDX-License-Identifier: Apache-2.0
#include "core/math/normal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace millrace {
namespace {

constexpr int kCount = 200'000;

// Normals (row, column) under `seed`, computed in T, as the map of normal.h says.
template <typename T>
double Normal(std::uint64_t seed, std::uint64_t row, int column) {
  const auto words = NormalWords(seed, row, static_cast<std::uint32_t>(column / 4));
  const int word = column % 4 / 2 * 2;
  const auto pair = BoxMuller<T>(static_cast<T>(words[word]), static_cast<T>(words[word + 1]));
  return static_cast<double>(column % 2 == 0 ? pair.first : pair.second);
}

template <typename T>
class NormalTest : public testing::Test {
 protected:
  // Column `column` of many rows.
  static std::vector<double> Column(int column, std::uint64_t seed = 42,
                                    std::uint64_t first_row = 0) {
    std::vector<double> values(kCount);
    for (int r = 0; r < kCount; ++r) values[r] = Normal<T>(seed, first_row + r, column);
    return values;
  }
};

using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(NormalTest, Reals);

double Correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (int i = 0; i < kCount; ++i) sum += a[i] * b[i];
  return sum / kCount;
}

// Each bound is 4 standard errors of the statistic.
TYPED_TEST(NormalTest, MomentsAreThoseOfANormal) {
  for (int column = 0; column < 4; ++column) {
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
    for (const double v : this->Column(column)) {
      m1 += v / kCount;
      m2 += v * v / kCount;
      m3 += v * v * v / kCount;
      m4 += v * v * v * v / kCount;
    }
    const double error = 1 / std::sqrt(kCount);
    EXPECT_NEAR(m1, 0.0, 4 * error);
    EXPECT_NEAR(m2, 1.0, 4 * error * std::sqrt(2.0));
    EXPECT_NEAR(m3, 0.0, 4 * error * std::sqrt(15.0));
    EXPECT_NEAR(m4, 3.0, 4 * error * std::sqrt(96.0));
  }
}

TYPED_TEST(NormalTest, KolmogorovSmirnov) {
  for (int column = 0; column < 4; ++column) {
    std::vector<double> values = this->Column(column);
    std::sort(values.begin(), values.end());
    double largest = 0.0;
    for (int i = 0; i < kCount; ++i) {
      const double cdf = 0.5 * std::erfc(-values[i] / std::numbers::sqrt2);
      largest =
          std::max({largest, (i + 1.0) / kCount - cdf, cdf - static_cast<double>(i) / kCount});
    }
    EXPECT_LT(largest * std::sqrt(kCount), 1.95);  // 1 in 1,000
  }
}

TYPED_TEST(NormalTest, ColumnsRowsAndSeedsAreUncorrelated) {
  const std::vector<double> values = this->Column(0);
  const double bound = 4 / std::sqrt(kCount);
  for (int column = 1; column < 9; ++column)
    EXPECT_NEAR(Correlation(values, this->Column(column)), 0.0, bound) << column;
  EXPECT_NEAR(Correlation(values, this->Column(0, 42, 1)), 0.0, bound);
  EXPECT_NEAR(Correlation(values, this->Column(0, 43)), 0.0, bound);
  EXPECT_NEAR(Correlation(values, this->Column(0, 42 + (std::uint64_t{1} << 32))), 0.0, bound);
  EXPECT_NEAR(Correlation(values, this->Column(0, 42, std::uint64_t{1} << 32)), 0.0, bound);
}

TYPED_TEST(NormalTest, EveryWordGivesAFiniteNumber) {
  const double most = std::sqrt(2 * 33 * std::numbers::ln2) * (1 + 1e-6);  // of u = 2^-33
  for (const double radius : {0.0, 1.0, 2147483648.0, 4294967294.0, 4294967295.0}) {
    for (const double angle : {0.0, 1.0, 1073741824.0, 4294967295.0}) {
      const auto pair =
          BoxMuller<TypeParam>(static_cast<TypeParam>(radius), static_cast<TypeParam>(angle));
      EXPECT_LE(std::fabs(pair.first), most) << radius << " " << angle;
      EXPECT_LE(std::fabs(pair.second), most) << radius << " " << angle;
    }
  }
}

// Any change of the map changes every seed's samples: this must fail then.
TEST(NormalMapTest, IsTheDocumentedOne) {
  const auto words = Philox4x32::Generate({7, 1, 2, 0}, {9, 3});
  const std::uint64_t seed = (std::uint64_t{3} << 32) | 9;
  const std::uint64_t row = (std::uint64_t{1} << 32) | 7;
  const auto radius = [](std::uint32_t w) {
    return std::sqrt(-2 * std::log((w + 0.5) / 4294967296.0));
  };
  const auto angle = [](std::uint32_t w) { return 2 * std::numbers::pi * (w / 4294967296.0); };
  EXPECT_NEAR(Normal<double>(seed, row, 8), radius(words[0]) * std::cos(angle(words[1])), 1e-12);
  EXPECT_NEAR(Normal<double>(seed, row, 9), radius(words[0]) * std::sin(angle(words[1])), 1e-12);
  EXPECT_NEAR(Normal<double>(seed, row, 10), radius(words[2]) * std::cos(angle(words[3])), 1e-12);
  EXPECT_NEAR(Normal<double>(seed, row, 11), radius(words[2]) * std::sin(angle(words[3])), 1e-12);
}

TEST(NormalMapTest, FloatAgreesWithDouble) {
  for (int row = 0; row < 10'000; ++row)
    for (int column = 0; column < 4; ++column)
      EXPECT_NEAR(Normal<float>(5, row, column), Normal<double>(5, row, column), 2e-3);
}

}  // namespace
}  // namespace millrace
