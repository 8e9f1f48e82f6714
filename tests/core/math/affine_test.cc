// SPDX-License-Identifier: Apache-2.0
#include "core/math/affine.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <random>
#include <vector>

#include "tests/support/dual.h"

namespace millrace {
namespace {

constexpr double kTolerance = 1e-12;

// |actual - expected| in units of max(1, |expected|).
double Deviation(double actual, double expected) {
  return std::fabs(actual - expected) / std::max(1.0, std::fabs(expected));
}

struct AffinePoint {
  double x, t, a, z_bar, log_det_bar;
};

std::vector<AffinePoint> Points() {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  std::vector<AffinePoint> points;
  for (const double scale : {1e-300, 1e-3, 1.0, 30.0, 1e6})
    for (int i = 0; i < 200; ++i)
      points.push_back({normal(random) * 3, normal(random), normal(random) * scale, normal(random),
                        normal(random)});
  points.push_back({0.0, 0.0, 0.0, 1.0, 1.0});
  return points;
}

TEST(AffineTest, LogDetIsLogOfSlope) {
  for (const AffinePoint& p : Points()) {
    const auto z = AffineForward(Variable(p.x), Dual(p.t), Dual(p.a));
    EXPECT_LE(Deviation(z.log_det.value, std::log(z.value.slope)), kTolerance);
    EXPECT_EQ(z.log_det.slope, 0.0);
    const auto x = AffineInverse(Variable(p.x), Dual(p.t), Dual(p.a));
    EXPECT_LE(Deviation(x.log_det.value, std::log(x.value.slope)), kTolerance);
  }
}

TEST(AffineTest, InverseUndoesForward) {
  for (const AffinePoint& p : Points()) {
    const auto z = AffineForward(p.x, p.t, p.a);
    const auto x = AffineInverse(z.value, p.t, p.a);
    // t is added to and taken from a number that may be a thousand times smaller.
    EXPECT_LE(Deviation(x.value, p.x), 1e3 * kTolerance) << p.a;
    EXPECT_EQ(x.log_det, -z.log_det);
  }
}

TEST(AffineTest, AdjointAgreesWithDualNumbers) {
  for (const AffinePoint& p : Points()) {
    const auto bar = AffineAdjoint(p.x, p.a, p.z_bar, p.log_det_bar);
    const auto loss_slope = [&](const Mapped<Dual>& z) {
      return p.z_bar * z.value.slope + p.log_det_bar * z.log_det.slope;
    };
    EXPECT_LE(Deviation(bar.x, loss_slope(AffineForward(Variable(p.x), Dual(p.t), Dual(p.a)))),
              kTolerance);
    EXPECT_LE(Deviation(bar.t, loss_slope(AffineForward(Dual(p.x), Variable(p.t), Dual(p.a)))),
              kTolerance);
    EXPECT_LE(Deviation(bar.a, loss_slope(AffineForward(Dual(p.x), Dual(p.t), Variable(p.a)))),
              kTolerance);
  }
}

TEST(AffineTest, AdjointSolveUndoesAdjoint) {
  for (const AffinePoint& p : Points()) {
    const double z_bar = AffineAdjointSolve(p.a, p.z_bar);
    EXPECT_LE(Deviation(AffineAdjoint(p.x, p.a, z_bar, p.log_det_bar).x, p.z_bar), kTolerance);
  }
}

TEST(AffineTest, SoftClipIsMonotoneAndBounded) {
  EXPECT_EQ(SoftClip(0.0), 0.0);
  EXPECT_EQ(SoftClipDerivative(0.0), 1.0);
  double before = -kLogScaleBound * (1 + 1e-6);
  for (const float a : {-FLT_MAX, -1e6f, -1e3f, -7.0f, -1.0f, -1e-3f, 0.0f, 1e-3f, 1.0f, 7.0f, 1e3f,
                        1e6f, FLT_MAX}) {
    const double s = SoftClip(static_cast<double>(a));
    EXPECT_GT(s, before) << a;
    EXPECT_LE(std::fabs(SoftClip(a)), kLogScaleBound * (1 + 1e-6)) << a;
    EXPECT_GE(SoftClipDerivative(a), 0.0f) << a;
    before = s;
  }
}

TEST(AffineTest, StaysFiniteForEveryParameter) {
  for (const float a : {-FLT_MAX, -1e6f, 0.0f, FLT_TRUE_MIN, 1e6f, FLT_MAX}) {
    for (const float x : {-1e6f, -FLT_TRUE_MIN, 0.0f, FLT_TRUE_MIN, 1e6f}) {
      const auto z = AffineForward(x, 0.0f, a);
      EXPECT_TRUE(std::isfinite(z.value) && std::isfinite(z.log_det)) << x << " " << a;
      EXPECT_TRUE(std::isfinite(AffineInverse(x, 0.0f, a).value)) << x << " " << a;
    }
  }
}

}  // namespace
}  // namespace millrace
