// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/spectral_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/support/numeric.h"

namespace millrace {
namespace {

struct Weight {
  Slice slice;
  ParameterValues values;
  float& operator()(int r, int c) {
    return values[slice.offset + static_cast<std::size_t>(r) * slice.ld + c];
  }
};

Weight NewWeight(int rows, int cols) {
  ParameterLayout layout;
  layout.Add("before", 1, 3, false);
  const Slice slice = layout.Add("weight", rows, cols, true);
  return {slice, ParameterValues(layout.size())};
}

Weight RandomWeight(std::mt19937_64& random, int rows, int cols) {
  Weight weight = NewWeight(rows, cols);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c) weight(r, c) = static_cast<float>(RandomNormal(random));
  return weight;
}

double Estimate(const Weight& weight, int iterations, std::vector<float>& direction) {
  direction.resize(weight.slice.rows);
  return EstimateSpectralNorm(weight.slice, weight.values.span(), iterations, direction);
}

TEST(SpectralNormTest, OfDiagonalMatricesOfAnyShape) {
  for (const auto& [rows, cols] : {std::pair{3, 3}, {3, 9}, {20, 3}, {1, 7}, {7, 1}}) {
    Weight weight = NewWeight(rows, cols);
    const int n = std::min(rows, cols);
    for (int i = 0; i < n; ++i) weight(i, i) = i == n / 2 ? -2.5f : 1.0f;
    std::vector<float> direction;
    EXPECT_NEAR(Estimate(weight, 30, direction), 2.5, 1e-9) << rows << "x" << cols;
    const double bound = BoundSpectralNorm(weight.slice, weight.values.span());
    EXPECT_GE(bound, 2.5 * (1 - 1e-12)) << rows << "x" << cols;
    EXPECT_LE(bound, 2.5 * 1.01) << rows << "x" << cols;
  }
}

// No matrix says how far it stretches some vector; these two say it from both sides.
TEST(SpectralNormTest, EstimateAndBoundEncloseTheNorm) {
  std::mt19937_64 random(1);
  for (const auto& [rows, cols] : {std::pair{5, 5}, {64, 2}, {2, 64}, {40, 50}, {100, 100}}) {
    const Weight weight = RandomWeight(random, rows, cols);
    std::vector<float> direction;
    const double estimate = Estimate(weight, 500, direction);
    const double bound = BoundSpectralNorm(weight.slice, weight.values.span());
    EXPECT_LE(estimate, bound * (1 + 1e-9));
    EXPECT_GE(estimate, bound / 1.01) << rows << "x" << cols;
    double length = 0.0;
    for (const float v : direction) length += v * v;
    EXPECT_NEAR(length, 1.0, 1e-5);
  }
}

TEST(SpectralNormTest, GoesOnFromItsDirection) {
  std::mt19937_64 random(2);
  const Weight weight = RandomWeight(random, 60, 60);
  std::vector<float> cold, warm;
  Estimate(weight, 200, warm);
  EXPECT_GT(Estimate(weight, 1, warm), 1.05 * Estimate(weight, 1, cold));
}

TEST(SpectralNormTest, OfNothingIsZero) {
  const Weight weight = NewWeight(4, 6);
  std::vector<float> direction;
  EXPECT_EQ(Estimate(weight, 5, direction), 0.0);
  EXPECT_EQ(BoundSpectralNorm(weight.slice, weight.values.span()), 0.0);
  for (const float v : direction) EXPECT_TRUE(std::isfinite(v));
}

}  // namespace
}  // namespace millrace
