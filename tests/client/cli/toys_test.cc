// SPDX-License-Identifier: Apache-2.0
// The toys' densities: they integrate to 1, agree with independent formulas, and fit the draws.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "client/cli/toys/curves.h"
#include "client/cli/toys/toy.h"

namespace millrace::cli {
namespace {

constexpr double kPi = std::numbers::pi;

std::string Title(const ::testing::TestParamInfo<ToyInfo>& info) {
  std::string title = info.param.name;
  std::replace(title.begin(), title.end(), '-', '_');
  return title;
}

class EveryToy : public ::testing::TestWithParam<ToyInfo> {
 protected:
  std::unique_ptr<Toy> toy_ = *MakeToy(GetParam().name, std::nullopt);
};

// Chi-squared of draws against the density integrated over cells, and the total.
TEST_P(EveryToy, DensityIntegratesToOneAndFitsTheDraws) {
  constexpr double kHalf = 5;  // of a square that holds all the mass
  constexpr int kCells = 20;   // cells along a side
  constexpr int kFine = 10;    // points along a cell's side
  constexpr int kDraws = 20000;
  const double cell = 2 * kHalf / kCells;
  std::vector<double> mass(kCells * kCells);
  for (int i = 0; i < kCells * kFine; ++i) {
    for (int j = 0; j < kCells * kFine; ++j) {
      const Point point{-kHalf + (i + 0.5) * cell / kFine, -kHalf + (j + 0.5) * cell / kFine};
      mass[i / kFine * kCells + j / kFine] +=
          std::exp(toy_->LogDensity(point)) * cell * cell / kFine / kFine;
    }
  }
  double total = 0;
  for (const double m : mass) total += m;
  EXPECT_NEAR(total, 1, 2e-3);

  Random random(5);
  std::vector<int> counts(kCells * kCells);
  for (int n = 0; n < kDraws; ++n) {
    const Point point = toy_->Sample(random);
    const int i = static_cast<int>(std::floor((point.x + kHalf) / cell));
    const int j = static_cast<int>(std::floor((point.y + kHalf) / cell));
    ASSERT_TRUE(i >= 0 && i < kCells && j >= 0 && j < kCells) << point.x << ", " << point.y;
    ++counts[i * kCells + j];
  }
  double chi_squared = 0;
  int degrees = -1;
  double rest = kDraws;
  double rest_mass = kDraws;
  for (std::size_t k = 0; k < mass.size(); ++k) {
    const double expected = mass[k] * kDraws;
    if (expected < 10) continue;
    chi_squared += (counts[k] - expected) * (counts[k] - expected) / expected;
    rest -= counts[k];
    rest_mass -= expected;
    ++degrees;
  }
  EXPECT_LT(chi_squared, degrees + 5 * std::sqrt(2.0 * degrees));
  EXPECT_NEAR(rest, rest_mass, 5 * std::sqrt(std::max(rest_mass, 20.0)));
}

TEST_P(EveryToy, TheSeedDecides) {
  Random a(7);
  Random b(7);
  Random c(8);
  const Point first = toy_->Sample(a);
  const Point again = toy_->Sample(b);
  const Point other = toy_->Sample(c);
  EXPECT_EQ(first.x, again.x);
  EXPECT_EQ(first.y, again.y);
  EXPECT_NE(first.x, other.x);
}

TEST_P(EveryToy, FarAwayIsNoNumberTrouble) {
  for (const Point point : {Point{1e3, -1e3}, Point{1e200, 0}, Point{0, -1e308}, Point{0, 0}}) {
    const double log_density = toy_->LogDensity(point);
    EXPECT_FALSE(std::isnan(log_density)) << point.x << ", " << point.y;
    EXPECT_LT(log_density, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Toys, EveryToy, ::testing::ValuesIn(AllToys()), Title);

// A circle of radius R with noise s has p(x) = exp(-(r^2 + R^2) / 2 s^2) I0(r R / s^2) / (2 pi
// s^2).
TEST(NoisyCurves, AgreesWithTheBesselFunctionOfACircle) {
  for (const double noise : {0.08, 0.5, 3.0}) {
    const NoisyCurves circle({{0, 2 * kPi, 1,
                               [](double t) {
                                 return Point{1.5 * std::cos(t), 1.5 * std::sin(t)};
                               }}},
                             noise);
    for (const double r : {0.0, 0.4, 1.0, 1.5, 1.7, 2.5}) {
      const double s2 = noise * noise;
      const double exact = -(r * r + 1.5 * 1.5) / (2 * s2) +
                           std::log(std::cyl_bessel_i(0.0, r * 1.5 / s2)) - std::log(2 * kPi * s2);
      EXPECT_NEAR(circle.LogDensity({r * std::cos(0.3), r * std::sin(0.3)}), exact, 1e-9)
          << "noise " << noise << ", radius " << r;
    }
  }
}

// A straight line, whose ends make normal distribution functions.
TEST(NoisyCurves, AgreesWithTheErrorFunctionOfASegment) {
  const double noise = 0.2;
  const NoisyCurves segment({{0, 2, 1, [](double t) { return Point{t, 0}; }}}, noise);
  const auto phi = [](double u) { return 0.5 * std::erfc(-u / std::numbers::sqrt2); };
  for (const Point point : {Point{1, 0}, Point{0, 0.3}, Point{-0.4, 0}, Point{2.1, -0.5}}) {
    const double across =
        -0.5 * point.y * point.y / (noise * noise) - std::log(noise * std::sqrt(2 * kPi));
    const double along = std::log((phi(point.x / noise) - phi((point.x - 2) / noise)) / 2);
    EXPECT_NEAR(segment.LogDensity(point), across + along, 1e-9) << point.x << ", " << point.y;
  }
}

// p(t) = 2 t on [0, 1], against a fine sum.
TEST(NoisyCurves, WeighsTheWayByItsPower) {
  const double noise = 0.3;
  const NoisyCurves ramp({{0, 1, 0.5, [](double t) { return Point{t, t * t}; }}}, noise);
  const Point point{0.6, 0.1};
  double sum = 0;
  constexpr int kSteps = 200000;
  for (int i = 0; i < kSteps; ++i) {
    const double t = (i + 0.5) / kSteps;
    const double d2 = (point.x - t) * (point.x - t) + (point.y - t * t) * (point.y - t * t);
    sum += 2 * t * std::exp(-d2 / (2 * noise * noise)) / kSteps;
  }
  EXPECT_NEAR(ramp.LogDensity(point), std::log(sum / (2 * kPi * noise * noise)), 1e-9);
}

TEST(TwoMoons, HasTheGeometryOfScikitLearn) {
  const auto toy = *MakeToy("two-moons", 0.01);
  // On the arcs' crowns, and in the middle between them.
  EXPECT_GT(toy->LogDensity({0, 1}), 0);
  EXPECT_GT(toy->LogDensity({1, -0.5}), 0);
  EXPECT_GT(toy->LogDensity({-1, 0}), 0);
  EXPECT_GT(toy->LogDensity({2, 0.5}), 0);
  EXPECT_LT(toy->LogDensity({0.5, 0.25}), -100);
}

TEST(Random, GivesTheSameNumbersEverywhere) {
  // The 10000th word of mt19937_64 with its default seed is fixed by the C++ standard.
  Random random(5489);
  double value = 0;
  for (int i = 0; i < 10000; ++i) value = random.Uniform();
  EXPECT_EQ(value, static_cast<double>(9981545732273789042u >> 11) * 0x1p-53);
}

TEST(MakeToy, RefusesUnknownNamesAndNoise) {
  EXPECT_EQ(MakeToy("three-moons", std::nullopt).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(MakeToy("checkerboard", 0.1).status().code(), absl::StatusCode::kInvalidArgument);
  for (const double noise : {0.0, -1.0, 1e9, std::nan("")}) {
    EXPECT_EQ(MakeToy("two-moons", noise).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace millrace::cli
