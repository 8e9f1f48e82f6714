// SPDX-License-Identifier: Apache-2.0
// Traps of rational-quadratic splines: tails, extreme parameters, inverses, and knots.
#include "core/math/rational_quadratic.h"

#include <gtest/gtest.h>

#include <array>
#include <cfloat>
#include <cmath>
#include <random>
#include <vector>

#include "core/cpu/pack.h"
#include "tests/support/dual.h"

namespace millrace {
namespace {

constexpr RationalQuadratic kSpline;
constexpr float kBound = 5.0f;

std::vector<double> RandomTheta(int parameters, double scale, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0.0, scale);
  std::vector<double> theta(parameters);
  for (double& value : theta) value = normal(random);
  return theta;
}

// The knots the header promises, written plainly.
std::vector<double> Knots(const double* logits, int bins, double bound) {
  double sum = 0.0;
  for (int k = 0; k < bins; ++k) sum += std::exp(logits[k]);
  std::vector<double> knots = {-bound};
  for (int k = 0; k < bins; ++k)
    knots.push_back(knots.back() +
                    2 * bound * (1e-3 + (1 - 1e-3 * bins) * std::exp(logits[k]) / sum));
  return knots;
}

TEST(RationalQuadraticTest, PassesThroughItsKnotsWithTheirSlopes) {
  for (const int bins : {2, 3, 8, 32}) {
    const RationalQuadratic spline{bins, 4.0};
    const std::vector<double> theta = RandomTheta(spline.parameters(), 1.0, 11);
    const std::vector<double> x = Knots(theta.data(), bins, 4.0);
    const std::vector<double> y = Knots(theta.data() + bins, bins, 4.0);
    for (int k = 0; k <= bins; ++k) {
      const bool outer = k == 0 || k == bins;
      const double log_slope = outer ? 0.0 : SoftClip(theta[2 * bins + k - 1]);
      // From within either bin beside the knot.
      for (const double off : {-1e-9, 1e-9}) {
        const Mapped<double> z = spline.Forward(x[k] + off, theta.data());
        EXPECT_NEAR(z.value, y[k], 1e-7) << k;
        EXPECT_NEAR(z.log_det, log_slope, 1e-5) << k;
      }
    }
  }
}

// In one bin the formula of the paper, with numbers worked out by hand: w = h = 1, d0 = 1, d1 = 4.
TEST(RationalQuadraticTest, FollowsThePaperWithinABin) {
  const RationalQuadratic spline{2, 1.0};
  const double log_four = SoftClipInverse(std::log(4.0));
  const std::vector<double> theta = {0.0, 0.0, 0.0, 0.0, log_four};
  // r = 1/2: N = 1/4 + 1/4, D = 1 + 3/4, M = 4/4 + 2/4 + 1/4.
  const Mapped<double> z = spline.Forward(-0.5, theta.data());
  EXPECT_NEAR(z.value, -1.0 + 0.5 / 1.75, 1e-14);
  EXPECT_NEAR(z.log_det, std::log(1.75 / (1.75 * 1.75)), 1e-14);
}

// Then no value of a block lies in any bin.
TEST(RationalQuadraticTest, AllRowsInTheTailsAreLeftAlone) {
  const std::vector<double> numbers = RandomTheta(kSpline.parameters(), 3.0, 5);
  std::vector<Pack> theta, theta_bar(numbers.size(), Pack(1.0f));
  for (const double number : numbers) theta.push_back(Pack(static_cast<float>(number)));
  Pack x(0.0f);
  for (int i = 0; i < Pack::kWidth; ++i) x.v[i] = (i % 2 == 0 ? 1.0f : -1.0f) * (kBound + i * i);
  const Mapped<Pack> z = kSpline.Forward(x, theta.data());
  const Mapped<Pack> back = kSpline.Inverse(x, theta.data());
  const Pack x_bar = kSpline.Adjoint(x, theta.data(), Pack(1.5f), Pack(-2.0f), theta_bar.data());
  for (int i = 0; i < Pack::kWidth; ++i) {
    EXPECT_EQ(z.value.v[i], x.v[i]);
    EXPECT_EQ(z.log_det.v[i], 0.0f);
    EXPECT_EQ(back.value.v[i], x.v[i]);
    EXPECT_EQ(x_bar.v[i], 1.5f);
    for (const Pack& bar : theta_bar) EXPECT_EQ(bar.v[i], 0.0f);
  }
}

// What the box would give there is not selected, and must not make their gradients NaN either.
TEST(RationalQuadraticTest, GradientsOutsideTheBoxAreThoseOfTheIdentity) {
  for (const float scale : {0.0f, 1.0f, 50.0f, 1e4f}) {
    const std::vector<double> numbers = RandomTheta(kSpline.parameters(), scale, 6);
    const std::vector<float> theta(numbers.begin(), numbers.end());
    for (const float x : {-FLT_MAX, -1e30f, -5.0001f, -5.0f, 5.0f, 5.0001f, 1e30f, FLT_MAX}) {
      std::vector<float> theta_bar(theta.size(), 1.0f);
      EXPECT_EQ(kSpline.Adjoint(x, theta.data(), 1.5f, -2.0f, theta_bar.data()), 1.5f) << x;
      EXPECT_EQ(theta_bar, std::vector<float>(theta.size(), 0.0f)) << x;
    }
  }
}

// x = Inverse(z) is finite, in the box, and within a few roundings of a number mapped to z.
void ExpectSoundInverse(float z, const std::vector<float>& theta) {
  const float step = 16 * FLT_EPSILON * kBound;
  const Mapped<float> x = kSpline.Inverse(z, theta.data());
  ASSERT_TRUE(std::isfinite(x.value) && std::isfinite(x.log_det)) << z;
  ASSERT_LE(std::fabs(x.value), kBound);
  ASSERT_LE(kSpline.Forward(x.value - step, theta.data()).value, z + step);
  ASSERT_GE(kSpline.Forward(x.value + step, theta.data()).value, z - step);
}

// Computed as b^2 - 4 a c it is, in float and mostly beside knots, for one value in many.
TEST(RationalQuadraticTest, NoInverseHasANegativeDiscriminant) {
  std::mt19937_64 random(8);
  std::uniform_real_distribution<float> parameter(-50.0f, 50.0f), inside(-kBound, kBound);
  std::vector<float> theta(kSpline.parameters());
  for (int i = 0; i < 1000; ++i) {
    const float scale = std::array{1.0f, 0.1f, 0.02f, 0.005f}[i % 4];
    for (float& value : theta) value = scale * parameter(random);
    const SplineKnots<float> y(theta.data() + kSpline.bins, kSpline.bins, -kBound, kBound);
    for (int k = 0; k <= kSpline.bins; ++k) {
      ExpectSoundInverse(Clamp(std::nextafter(y[k], -kBound), -kBound, kBound), theta);
      ExpectSoundInverse(Clamp(std::nextafter(y[k], kBound), -kBound, kBound), theta);
    }
    for (int j = 0; j < 1000; ++j) ExpectSoundInverse(inside(random), theta);
    if (HasFatalFailure()) return;
  }
}

TEST(RationalQuadraticTest, OrdinaryParametersRoundTripInFloat) {
  std::mt19937_64 random(9);
  std::uniform_real_distribution<float> inside(-kBound, kBound);
  for (unsigned seed = 0; seed < 100; ++seed) {
    const std::vector<double> numbers = RandomTheta(kSpline.parameters(), 0.5, seed);
    const std::vector<float> theta(numbers.begin(), numbers.end());
    for (int j = 0; j < 1000; ++j) {
      const float x = inside(random);
      const Mapped<float> z = kSpline.Forward(x, theta.data());
      const Mapped<float> back = kSpline.Inverse(z.value, theta.data());
      ASSERT_NEAR(back.value, x, 2e-5);
      ASSERT_NEAR(back.log_det, -z.log_det, 1e-4);
    }
  }
}

// However the widths are rounded, the box ends where it should, and no value leaves it.
TEST(RationalQuadraticTest, TheLastKnotIsTheBound) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const RationalQuadratic spline{32, 5.0};
    const std::vector<double> numbers = RandomTheta(spline.parameters(), 20.0, seed);
    const std::vector<float> theta(numbers.begin(), numbers.end());
    EXPECT_EQ(SplineKnots<float>(theta.data(), 32, -5.0, 5.0)[32], kBound);
    const float below = std::nextafter(kBound, 0.0f);
    for (const float end : {below, -below}) {
      EXPECT_LE(std::fabs(spline.Forward(end, theta.data()).value), kBound);
      EXPECT_NEAR(spline.Forward(end, theta.data()).value, end, 1e-5);
      EXPECT_LE(std::fabs(spline.Inverse(end, theta.data()).value), kBound);
      EXPECT_NEAR(spline.Inverse(end, theta.data()).value, end, 1e-5);
    }
  }
}

}  // namespace
}  // namespace millrace
