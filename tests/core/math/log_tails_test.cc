// SPDX-License-Identifier: Apache-2.0
#include "core/math/log_tails.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <numbers>

#include "tests/support/dual.h"

namespace millrace {
namespace {

constexpr double kPoints[] = {-1e6, -1e3, -30.0, -6.5,  -6.001, -5.999, -1.0,  -1e-30, 0.0,
                              1e-3, 2.0,  5.999, 6.001, 6.1,    7.0,    142.0, 1e5,    1e9};

double Deviation(double actual, double expected) {
  return std::fabs(actual - expected) / std::max(1.0, std::fabs(expected));
}

TEST(LogTailsTest, IsTheIdentityInside) {
  for (const double x : {-6.0, -1.0, 0.0, 3.3, 6.0}) {
    EXPECT_EQ(LogTailsForward(x).value, x);
    EXPECT_EQ(LogTailsForward(x).log_det, 0.0);
    EXPECT_EQ(LogTailsInverse(x).value, x);
    EXPECT_EQ(LogTailsInverse(x).log_det, 0.0);
  }
}

TEST(LogTailsTest, LogDetIsLogOfSlope) {
  for (const double x : kPoints) {
    const auto z = LogTailsForward(Variable(x));
    EXPECT_LE(Deviation(z.log_det.value, std::log(z.value.slope)), 1e-12) << x;
    const double latent = std::fmin(std::fmax(x, -100.0), 100.0);
    const auto back = LogTailsInverse(Variable(latent));
    EXPECT_LE(Deviation(back.log_det.value, std::log(back.value.slope)), 1e-12) << latent;
  }
}

TEST(LogTailsTest, InverseUndoesForward) {
  for (const double x : kPoints) {
    const auto z = LogTailsForward(x);
    const auto back = LogTailsInverse(z.value);
    EXPECT_LE(Deviation(back.value, x), 1e-12) << x;
    EXPECT_LE(Deviation(back.log_det, -z.log_det), 1e-12) << x;
    EXPECT_EQ(LogTailsForward(-x).value, -z.value);
  }
}

TEST(LogTailsTest, AdjointAgreesWithDualNumbers) {
  for (const double x : kPoints) {
    const auto z = LogTailsForward(Variable(x));
    const double bar = LogTailsAdjoint(x, 1.3, -0.7);
    EXPECT_LE(Deviation(bar, 1.3 * z.value.slope - 0.7 * z.log_det.slope), 1e-12) << x;
    EXPECT_LE(Deviation(LogTailsAdjointSolve(x, bar, -0.7), 1.3), 1e-12) << x;
  }
}

// Over a standard normal base: at most 0.03 nats below a normal density anywhere, and a million
// deviations off not below -1200.
TEST(LogTailsTest, IsHardlyBelowTheNormalAnywhereAndFarAboveItFarOut) {
  const auto log_density = [](double x) {
    const auto z = LogTailsForward(x);
    return z.log_det - 0.5 * (z.value * z.value + std::log(2 * std::numbers::pi));
  };
  for (double x = 0.0; x < 40.0; x += 0.01)
    EXPECT_GT(log_density(x) + 0.5 * (x * x + std::log(2 * std::numbers::pi)), -0.03) << x;
  for (double x = 40.0; x < 1e6; x *= 1.1) EXPECT_GT(log_density(x), -1200.0) << x;
}

TEST(LogTailsTest, StaysFinite) {
  for (const float x : {-FLT_MAX, -1e6f, -FLT_TRUE_MIN, 0.0f, 1e9f, FLT_MAX}) {
    EXPECT_TRUE(std::isfinite(LogTailsForward(x).value)) << x;
    EXPECT_TRUE(std::isfinite(LogTailsForward(x).log_det)) << x;
    EXPECT_TRUE(std::isfinite(LogTailsInverse(x).value)) << x;
    EXPECT_TRUE(std::isfinite(LogTailsAdjoint(x, 1.0f, 1.0f))) << x;
  }
}

}  // namespace
}  // namespace millrace
