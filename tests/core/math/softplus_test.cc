// SPDX-License-Identifier: Apache-2.0
#include "core/math/softplus.h"

#include <gtest/gtest.h>

#include <cmath>

namespace millrace {
namespace {

constexpr const float* kNoTheta = nullptr;

TEST(SoftplusTest, SmallLatentsKeepTheirDigits) {
  for (const float x : {-60.0f, -30.0f, -16.0f, -5.0f, -0.5f, 0.5f, 30.0f}) {
    const Mapped<float> z = SoftplusMap::Forward(x, kNoTheta);
    EXPECT_NEAR(z.value / std::log1p(std::exp(double{x})), 1.0, 1e-6) << x;
    EXPECT_NEAR(SoftplusMap::Inverse(z.value, kNoTheta).value, x, 1e-6 * (1 + std::fabs(x))) << x;
  }
}

TEST(SoftplusTest, ZeroStandsForTheSmallestLatent) {
  const float smallest = SoftplusMap::Inverse(SoftplusMap::kSmallest, kNoTheta).value;
  EXPECT_NEAR(smallest, -100 * std::log(2.0), 1e-4);
  EXPECT_EQ(SoftplusMap::Inverse(0.0f, kNoTheta).value, smallest);
  EXPECT_EQ(SoftplusMap::Inverse(-1.0f, kNoTheta).value, smallest);
  EXPECT_EQ(SoftplusMap::Forward(-1e30f, kNoTheta).value, SoftplusMap::kSmallest);
}

}  // namespace
}  // namespace millrace
