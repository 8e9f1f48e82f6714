// SPDX-License-Identifier: Apache-2.0
// The ends of the maps into intervals. tests/core/math/bijection_test.cc has the rest.
#include "core/math/squash.h"

#include <gtest/gtest.h>

#include <cmath>

namespace millrace {
namespace {

constexpr const float* kNoTheta = nullptr;

TEST(SquashTest, SmallProbabilitiesKeepTheirDigits) {
  for (const float x : {-60.0f, -40.0f, -17.0f, -3.0f}) {
    const Mapped<float> z = SigmoidMap::Forward(x, kNoTheta);
    EXPECT_NEAR(z.value / (1 / (1 + std::exp(-double{x}))), 1.0, 1e-6) << x;
    EXPECT_NEAR(SigmoidMap::Inverse(z.value, kNoTheta).value, x, 1e-5 * -x) << x;
  }
  for (const float x : {1e-30f, 1e-10f, -1e-4f})
    EXPECT_NEAR(TanhMap::Inverse(TanhMap::Forward(x, kNoTheta).value, kNoTheta).value / x, 1, 1e-6);
}

// A latent at or beyond an end stands for the nearest number inside, and Forward gives no other.
template <typename F>
void ExpectOpen(double largest) {
  const auto low = static_cast<float>(F::Range().low);
  const auto high = static_cast<float>(F::Range().high);
  for (const float x : {1e3f, 1e10f, 1e30f}) {
    const float nearly_high = F::Forward(x, kNoTheta).value;
    const float nearly_low = F::Forward(-x, kNoTheta).value;
    EXPECT_LT(nearly_high, high) << x;
    EXPECT_GT(nearly_low, low) << x;
  }
  EXPECT_NEAR(F::Inverse(high, kNoTheta).value / largest, 1.0, 1e-6);
  EXPECT_EQ(F::Inverse(high + 3.0f, kNoTheta).value, F::Inverse(high, kNoTheta).value);
  EXPECT_EQ(F::Inverse(low - 3.0f, kNoTheta).value, F::Inverse(low, kNoTheta).value);
}

TEST(SquashTest, EndsAreOpen) {
  const double rest = 1.0 - kBelowOne;
  ExpectOpen<SigmoidMap>(std::log(kBelowOne / rest));
  ExpectOpen<TanhMap>(0.5 * std::log((2.0 - rest) / rest));
  ExpectOpen<SoftsignMap>(kBelowOne / rest);
}

}  // namespace
}  // namespace millrace
