// SPDX-License-Identifier: Apache-2.0
// What sets the logarithmic tails apart: where they begin and how heavy they are.
// tests/core/math/bijection_test.cc has the rest.
#include "core/math/log_tails.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <numbers>

namespace millrace {
namespace {

constexpr const double* kNoTheta = nullptr;
constexpr const float* kNoFloatTheta = nullptr;

TEST(LogTailsTest, IsTheIdentityInside) {
  for (const double x : {-6.0, -1.0, 0.0, 3.3, 6.0}) {
    EXPECT_EQ(LogTails::Forward(x, kNoTheta).value, x);
    EXPECT_EQ(LogTails::Forward(x, kNoTheta).log_det, 0.0);
    EXPECT_EQ(LogTails::Inverse(x, kNoTheta).value, x);
    EXPECT_EQ(LogTails::Inverse(x, kNoTheta).log_det, 0.0);
  }
}

TEST(LogTailsTest, InverseUndoesForwardFarOut) {
  for (const double x : {6.001, 142.0, 1e5, 1e9}) {
    const Mapped<double> z = LogTails::Forward(x, kNoTheta);
    EXPECT_NEAR(LogTails::Inverse(z.value, kNoTheta).value / x, 1.0, 1e-12);
    EXPECT_EQ(LogTails::Forward(-x, kNoTheta).value, -z.value);
  }
}

// Over a standard normal base: at most 0.03 nats below a normal density anywhere, and a million
// deviations off not below -1200.
TEST(LogTailsTest, IsHardlyBelowTheNormalAnywhereAndFarAboveItFarOut) {
  const auto log_density = [](double x) {
    const Mapped<double> z = LogTails::Forward(x, kNoTheta);
    return z.log_det - 0.5 * (z.value * z.value + std::log(2 * std::numbers::pi));
  };
  for (double x = 0.0; x < 40.0; x += 0.01)
    EXPECT_GT(log_density(x) + 0.5 * (x * x + std::log(2 * std::numbers::pi)), -0.03) << x;
  for (double x = 40.0; x < 1e6; x *= 1.1) EXPECT_GT(log_density(x), -1200.0) << x;
}

TEST(LogTailsTest, StaysFiniteToTheLargestFloat) {
  for (const float x : {-FLT_MAX, FLT_MAX}) {
    EXPECT_TRUE(std::isfinite(LogTails::Forward(x, kNoFloatTheta).value));
    EXPECT_TRUE(std::isfinite(LogTails::Inverse(x, kNoFloatTheta).value));
  }
}

}  // namespace
}  // namespace millrace
