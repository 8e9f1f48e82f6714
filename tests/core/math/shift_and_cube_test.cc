// SPDX-License-Identifier: Apache-2.0
#include "core/math/shift_and_cube.h"

#include <gtest/gtest.h>

#include <cmath>

namespace millrace {
namespace {

// Where the slope is 0 the log-determinant is as low as it gets, and pushes nowhere.
TEST(ShiftAndCubeTest, HasAFiniteDensityAtItsFlatPoint) {
  const double theta[] = {2.0};
  for (const double x : {-2.0, -2.0 + 1e-7}) {
    EXPECT_NEAR(ShiftAndCube::Forward(x, theta).log_det, std::log(1e-12), 1e-6) << x;
    EXPECT_NEAR(ShiftAndCube::Inverse(std::pow(x + 2.0, 3), theta).log_det, -std::log(1e-12), 1e-6);
    double theta_bar = 99.0;
    EXPECT_NEAR(ShiftAndCube::Adjoint(x, theta, 1.0, 1.0, &theta_bar), 0.0, 1e-12) << x;
    EXPECT_NEAR(theta_bar, 0.0, 1e-12) << x;
  }
}

TEST(ShiftAndCubeTest, CubesBothSigns) {
  const double theta[] = {1.0};
  EXPECT_EQ(ShiftAndCube::Forward(2.0, theta).value, 27.0);
  EXPECT_EQ(ShiftAndCube::Forward(-3.0, theta).value, -8.0);
  EXPECT_EQ(ShiftAndCube::Inverse(-8.0, theta).value, -3.0);
}

}  // namespace
}  // namespace millrace
