// SPDX-License-Identifier: Apache-2.0
#include "core/math/quadratic_spline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace millrace {
namespace {

// Two equal bins and a density with vertices in the proportion 1 : 3 : 2, of area 9/4.
TEST(QuadraticSplineTest, IntegratesTheLinesBetweenItsVertices) {
  const QuadraticSpline spline{2};
  const std::vector<double> theta = {0.0, 0.0, 0.0, std::log(3.0), std::log(2.0)};
  const auto density = [](double v) { return 1e-3 + 0.999 * v / 2.25; };
  const auto slope = [&](double x) { return std::exp(spline.Forward(x, theta.data()).log_det); };
  EXPECT_NEAR(slope(0.0), density(1.0), 1e-14);
  EXPECT_NEAR(slope(0.25), density(2.0), 1e-14);
  EXPECT_NEAR(slope(0.5), density(3.0), 1e-14);
  EXPECT_NEAR(slope(1.0), density(2.0), 1e-14);
  EXPECT_NEAR(spline.Forward(0.5, theta.data()).value, density(2.0) / 2, 1e-14);
  EXPECT_NEAR(spline.Forward(0.25, theta.data()).value, density(1.5) / 4, 1e-14);
}

TEST(QuadraticSplineTest, KeepsTheEndsAndBringsTheRestToThem) {
  const QuadraticSpline spline{32};
  std::vector<float> theta;
  for (int k = 0; k < 65; ++k) theta.push_back(static_cast<float>(30 * std::sin(7 * k)));
  for (const float below : {-1e30f, -1e-6f, 0.0f}) {
    EXPECT_EQ(spline.Forward(below, theta.data()).value, 0.0f);
    EXPECT_EQ(spline.Inverse(below, theta.data()).value, 0.0f);
  }
  for (const float above : {1.0f, 1.000001f, 1e30f}) {
    EXPECT_NEAR(spline.Forward(above, theta.data()).value, 1.0f, 1e-6);
    EXPECT_NEAR(spline.Inverse(above, theta.data()).value, 1.0f, 1e-6);
  }
}

// However the areas of the bins are rounded, no value passes 1.
TEST(QuadraticSplineTest, StaysInsideWithSteepDensities) {
  const QuadraticSpline spline{32};
  std::mt19937_64 random(4);
  std::normal_distribution<float> normal(0.0f, 30.0f);
  std::vector<float> theta(spline.parameters());
  for (int i = 0; i < 2000; ++i) {
    for (float& value : theta) value = normal(random);
    for (const float v : {0.9f, 0.99f, 0.999f, 0.9999f, std::nextafter(1.0f, 0.0f), 1.0f}) {
      ASSERT_LE(spline.Forward(v, theta.data()).value, 1.0f);
      ASSERT_LE(spline.Inverse(v, theta.data()).value, 1.0f);
    }
  }
}

}  // namespace
}  // namespace millrace
