// SPDX-License-Identifier: Apache-2.0
#include "core/math/linear_spline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace millrace {
namespace {

// Two bins with heights 1/4 and 3/4, but for the smallest share of 1/1000.
TEST(LinearSplineTest, JoinsItsKnotsByLines) {
  const LinearSpline spline{2};
  const std::vector<double> theta = {0.0, std::log(3.0)};
  const double height = 1e-3 + 0.998 / 4;
  EXPECT_NEAR(spline.Forward(0.5, theta.data()).value, height, 1e-15);
  EXPECT_NEAR(spline.Forward(0.25, theta.data()).value, height / 2, 1e-15);
  EXPECT_NEAR(spline.Forward(0.25, theta.data()).log_det, std::log(2 * height), 1e-15);
  EXPECT_NEAR(spline.Forward(0.75, theta.data()).value, (1 + height) / 2, 1e-15);
  EXPECT_NEAR(spline.Forward(0.75, theta.data()).log_det, std::log(2 * (1 - height)), 1e-14);
}

TEST(LinearSplineTest, KeepsTheEndsAndBringsTheRestToThem) {
  const LinearSpline spline{32};
  std::vector<float> theta;
  for (int k = 0; k < 32; ++k) theta.push_back(static_cast<float>(30 * std::sin(7 * k)));
  for (const float below : {-1e30f, -1e-6f, 0.0f}) {
    EXPECT_EQ(spline.Forward(below, theta.data()).value, 0.0f);
    EXPECT_EQ(spline.Inverse(below, theta.data()).value, 0.0f);
  }
  for (const float above : {1.0f, 1.000001f, 1e30f}) {
    EXPECT_EQ(spline.Forward(above, theta.data()).value, 1.0f);
    EXPECT_EQ(spline.Inverse(above, theta.data()).value, 1.0f);
  }
}

}  // namespace
}  // namespace millrace
