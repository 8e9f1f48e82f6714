// SPDX-License-Identifier: Apache-2.0
#include "core/math/activation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/dual.h"

namespace millrace {
namespace {

template <typename Function>
class ActivationTest : public testing::Test {};

using Functions = testing::Types<Identity, Relu, HyperbolicTangent, Elu>;
TYPED_TEST_SUITE(ActivationTest, Functions);

TYPED_TEST(ActivationTest, DerivativeIsAFunctionOfTheValue) {
  for (double a = -30.0; a <= 30.0; a += 0.0137) {
    const Dual exact = TypeParam::Value(Variable(a));
    EXPECT_NEAR(TypeParam::Derivative(TypeParam::Value(a)), exact.slope, 1e-12) << a;
  }
}

TYPED_TEST(ActivationTest, SlopeDerivativeIsThatOfDerivative) {
  for (double a = -8.0; a <= 8.0; a += 0.0137) {
    const double value = TypeParam::Value(a);
    EXPECT_NEAR(TypeParam::SlopeDerivative(value), TypeParam::Derivative(Variable(value)).slope,
                1e-12)
        << a;
  }
}

TYPED_TEST(ActivationTest, IsMonotoneAndFixesTheOrigin) {
  EXPECT_EQ(TypeParam::Value(0.0), 0.0);
  double before = TypeParam::Value(-31.0);
  for (double a = -30.0; a <= 30.0; a += 0.01) {
    EXPECT_GE(TypeParam::Value(a), before) << a;
    EXPECT_GE(TypeParam::Derivative(TypeParam::Value(a)), 0.0) << a;
    before = TypeParam::Value(a);
  }
}

TYPED_TEST(ActivationTest, IsFiniteFarOut) {
  for (const float a : {-1e30f, -1e6f, -100.0f, -1e-40f, 1e-40f, 100.0f, 1e6f, 1e30f}) {
    EXPECT_TRUE(std::isfinite(TypeParam::Value(a))) << a;
    EXPECT_TRUE(std::isfinite(TypeParam::Derivative(TypeParam::Value(a)))) << a;
  }
}

TEST(EluTest, IsExponentialBelowZero) {
  for (const double a : {-20.0, -1.0, -1e-3}) EXPECT_NEAR(Elu::Value(a), std::expm1(a), 1e-15) << a;
  EXPECT_EQ(Elu::Value(2.5), 2.5);
}

}  // namespace
}  // namespace millrace
