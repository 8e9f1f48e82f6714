// SPDX-License-Identifier: Apache-2.0
// What sets the affine bijection apart: its soft-clipped scale. tests/core/math/bijection_test.cc
// has the rest.
#include "core/math/affine.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

namespace millrace {
namespace {

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

TEST(AffineTest, SoftClipInverseUndoesSoftClip) {
  for (const double s : {-6.8, -1.0, 0.0, 1e-3, 6.8})
    EXPECT_NEAR(SoftClip(SoftClipInverse(s)), s, 1e-12);
  EXPECT_NEAR(SoftClip(SoftClipInverse(100.0)), 0.99 * kLogScaleBound, 1e-12);
}

// A scale of sigmoid(a + 2) could do the second only.
TEST(AffineTest, ExpandsAndContracts) {
  for (const double a : {-1000.0, 1000.0}) {
    const double theta[] = {0.5, a};
    const double largest = std::copysign(kLogScaleBound, a);
    EXPECT_NEAR(Affine::Forward(2.0, theta).log_det, largest, 0.05);
    EXPECT_NEAR(Affine::Forward(2.0, theta).value, 2.0 * std::exp(largest) + 0.5,
                0.05 * 2.0 * std::exp(largest));
  }
}

TEST(AffineTest, StaysFiniteForEveryParameter) {
  for (const float a : {-FLT_MAX, -1e6f, 0.0f, FLT_TRUE_MIN, 1e6f, FLT_MAX}) {
    const float theta[] = {0.0f, a};
    for (const float x : {-1e30f, -FLT_TRUE_MIN, 0.0f, FLT_TRUE_MIN, 1e30f}) {
      const Mapped<float> z = Affine::Forward(x, theta);
      EXPECT_TRUE(std::isfinite(z.value) && std::isfinite(z.log_det)) << x << " " << a;
      EXPECT_TRUE(std::isfinite(Affine::Inverse(x, theta).value)) << x << " " << a;
    }
  }
}

}  // namespace
}  // namespace millrace
