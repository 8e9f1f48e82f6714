// SPDX-License-Identifier: Apache-2.0
#include "core/score/interpolation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace millrace {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pointwise;
using Point = std::vector<double>;

constexpr auto kLinear = InterpolationKind::kLinear;
constexpr auto kSpherical = InterpolationKind::kSpherical;

double Norm(const Point& p) {
  double sum = 0.0;
  for (const double v : p) sum += v * v;
  return std::sqrt(sum);
}

TEST(InterpolateLatentTest, EndsAreExact) {
  const Point a = {0.1, -0.7, 3e-200};
  const Point b = {1e10, 1.0 / 3, -0.0};
  for (const auto kind : {kLinear, kSpherical}) {
    EXPECT_EQ(InterpolateLatent(kind, a, b, 0.0), a);
    EXPECT_EQ(InterpolateLatent(kind, a, b, 1.0), b);
  }
}

TEST(InterpolateLatentTest, LinearIsAWeightedMean) {
  EXPECT_THAT(InterpolateLatent(kLinear, Point{0, 8}, Point{4, 0}, 0.25), ElementsAre(1, 6));
}

TEST(InterpolateLatentTest, SphericalTurnsEvenlyAndBlendsNorms) {
  const double h = std::sqrt(0.5);
  EXPECT_THAT(InterpolateLatent(kSpherical, Point{1, 0}, Point{0, 3}, 0.5),
              Pointwise(DoubleNear(1e-12), Point{2 * h, 2 * h}));
  const Point third = InterpolateLatent(kSpherical, Point{2, 0, 0}, Point{0, 0, 2}, 1.0 / 3);
  EXPECT_THAT(third, Pointwise(DoubleNear(1e-12), Point{std::sqrt(3.0), 0, 1}));
}

// Nearly the same direction: the great circle and the chord agree.
TEST(InterpolateLatentTest, ParallelPointsGoLinearly) {
  EXPECT_THAT(InterpolateLatent(kSpherical, Point{1, 1}, Point{3, 3}, 0.5), ElementsAre(2, 2));
  const Point near = InterpolateLatent(kSpherical, Point{1, 1e-5}, Point{1, 0}, 0.5);
  EXPECT_THAT(near, Pointwise(DoubleNear(1e-10), Point{1, 5e-6}));
}

TEST(InterpolateLatentTest, ZeroNormsAndOneDimensionGoLinearly) {
  EXPECT_THAT(InterpolateLatent(kSpherical, Point{0, 0}, Point{2, 4}, 0.5), ElementsAre(1, 2));
  EXPECT_THAT(InterpolateLatent(kSpherical, Point{2, 4}, Point{0, 0}, 0.5), ElementsAre(1, 2));
  EXPECT_THAT(InterpolateLatent(kSpherical, Point{-1}, Point{3}, 0.25), ElementsAre(0));
  EXPECT_TRUE(InterpolateLatent(kSpherical, Point{}, Point{}, 0.5).empty());
}

TEST(InterpolateLatentTest, AntipodesTurnThroughAnOrthogonalDirection) {
  const Point a = {1, 2, -2};
  const Point b = {-2, -4, 4};
  const Point middle = InterpolateLatent(kSpherical, a, b, 0.5);
  EXPECT_NEAR(Norm(middle), 4.5, 1e-12);
  EXPECT_NEAR(a[0] * middle[0] + a[1] * middle[1] + a[2] * middle[2], 0.0, 1e-12);
  EXPECT_EQ(InterpolateLatent(kSpherical, a, b, 0.5), middle);
  for (double t = 0.05; t < 1.0; t += 0.05)
    EXPECT_NEAR(Norm(InterpolateLatent(kSpherical, a, b, t)), 3 + 3 * t, 1e-12);
}

TEST(InterpolateLatentTest, ExtremeNormsNeitherOverflowNorVanish) {
  for (const double scale : {1e-200, 1e200}) {
    const Point middle = InterpolateLatent(kSpherical, Point{scale, 0}, Point{0, scale}, 0.5);
    EXPECT_NEAR(middle[0] / scale, std::sqrt(0.5), 1e-12);
    EXPECT_NEAR(middle[1] / scale, std::sqrt(0.5), 1e-12);
  }
}

}  // namespace
}  // namespace millrace
