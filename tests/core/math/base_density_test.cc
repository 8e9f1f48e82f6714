// SPDX-License-Identifier: Apache-2.0
#include "core/math/base_density.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "core/cpu/pack.h"
#include "core/math/normal.h"
#include "tests/support/dual.h"

namespace millrace {
namespace {

constexpr double kShapes[] = {-FLT_MAX, -100.0, -3.0, -0.5, 0.0, 1.0, 20.0, FLT_MAX};

// Simpson's rule in w = sinh(t), which reaches far into heavy tails.
template <typename D>
double Mass(const D& density, double low, double high) {
  constexpr int kSteps = 40000;
  const double from = std::asinh(low), step = (std::asinh(high) - from) / kSteps;
  double sum = 0.0;
  for (int i = 0; i <= kSteps; ++i) {
    const double t = from + i * step;
    const double weight = i == 0 || i == kSteps ? 1.0 : (i % 2 == 0 ? 2.0 : 4.0);
    sum += weight * std::exp(density.LogDensity(std::sinh(t))) * std::cosh(t);
  }
  return sum * step / 3;
}

template <typename D>
void ExpectSlopes(const D& density) {
  for (double w = -1e6; w <= 1e6; w += std::max(0.37, 0.1 * std::fabs(w)))
    EXPECT_NEAR(density.Slope(w), density.LogDensity(Variable(w)).slope, 1e-12) << w;
}

TEST(BaseDensityTest, DensitiesIntegrateToOne) {
  EXPECT_NEAR(Mass(NormalDensity{}, -40, 40), 1.0, 1e-10);
  EXPECT_NEAR(Mass(LogisticDensity{}, -60, 60), 1.0, 1e-10);
  EXPECT_NEAR(Mass(UniformDensity{-2, 5}, -2, 5), 1.0, 1e-10);
  for (const double shape : kShapes) {
    // The Cauchy distribution, nearly, has 2 / (pi w) beyond w.
    EXPECT_NEAR(Mass(StudentTDensity(shape), -1e9, 1e9), 1.0, 1e-8) << shape;
  }
}

TEST(BaseDensityTest, SlopesAgreeWithDualNumbers) {
  ExpectSlopes(NormalDensity{});
  ExpectSlopes(LogisticDensity{});
  for (const double shape : kShapes) ExpectSlopes(StudentTDensity(shape));
}

TEST(BaseDensityTest, StudentTByItsFormula) {
  for (const double shape : kShapes) {
    const StudentTDensity density(shape);
    const double nu = density.freedom;
    EXPECT_GE(nu, 1.0 - 1e-12);
    EXPECT_LE(nu, 1000.0 + 1e-9);
    for (const double w : {0.0, 0.3, -2.0, 40.0, 1e5}) {
      const double exact = std::lgamma((nu + 1) / 2) - std::lgamma(nu / 2) -
                           0.5 * std::log(nu * std::numbers::pi) -
                           (nu + 1) / 2 * std::log1p(w * w / nu);
      EXPECT_NEAR(density.LogDensity(w), exact, 1e-12 * (1 + std::fabs(exact)));
      EXPECT_NEAR(density.LogDensity(Pack(static_cast<float>(w))).v[0], exact,
                  1e-5 * (1 + std::fabs(exact)));
    }
  }
  // As floats, whose squares overflow.
  for (const float w : {1e14f, 1e15f, -1e20f, FLT_MAX}) {
    const StudentTDensity density(2.0);
    const double exact = density.LogDensity(static_cast<double>(w));
    EXPECT_TRUE(std::isfinite(exact));
    EXPECT_NEAR(density.LogDensity(Pack(w)).v[0], exact, 1e-5 * std::fabs(exact)) << w;
    EXPECT_NEAR(density.LogDensity(w), exact, 1e-5 * std::fabs(exact)) << w;
    EXPECT_NEAR(density.ShapeSlope(w), density.ShapeSlope(static_cast<double>(w)), 1e-3) << w;
  }
  EXPECT_EQ(Log1p(INFINITY), INFINITY);
  // One degree of freedom is Cauchy's: 1 / (pi (1 + w^2)).
  EXPECT_NEAR(StudentTDensity(-1e15).LogDensity(2.0), -std::log(5 * std::numbers::pi), 1e-12);
  EXPECT_NEAR(StudentTDensity(0.0).freedom, std::sqrt(1000.0), 1e-10);
}

TEST(BaseDensityTest, ShapeSlopeAgreesWithDifferences) {
  for (const double shape : {-30.0, -2.0, -0.1, 0.1, 1.5, 30.0}) {
    for (const double w : {0.0, 0.5, -3.0, 30.0, 1e4}) {
      const double step = 1e-4;
      const double exact = (StudentTDensity(shape + step).LogDensity(w) -
                            StudentTDensity(shape - step).LogDensity(w)) /
                           (2 * step);
      EXPECT_NEAR(StudentTDensity(shape).ShapeSlope(w), exact, 1e-7 * (1 + std::fabs(exact)))
          << shape << " " << w;
    }
  }
}

TEST(BaseDensityTest, LogisticSamplesAreQuantiles) {
  for (const double v : {-1.0, -0.7, -1e-9, 1e-9, 0.2, 1.0}) {
    const double x = LogisticSample(v);
    // |v| is the mass beyond |x|, both sides together.
    EXPECT_NEAR(2 / (1 + std::exp(std::fabs(x))), std::fabs(v), 1e-12);
    EXPECT_EQ(std::signbit(x), v < 0);
  }
}

TEST(BaseDensityTest, SamplesOfExtremeWordsAreFinite) {
  for (const std::uint32_t word : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    const Pack v = SignedUniform(Pack(static_cast<float>(static_cast<std::int32_t>(word))));
    EXPECT_TRUE(std::isfinite(LogisticSample(v).v[0])) << word;
    EXPECT_LT(std::fabs(CentredUniformSample(v).v[0]), 0.5f) << word;
    for (const float nu : {1.0f, 30.0f, 1000.0f}) {
      const auto t = SampleStudentT(Pack(nu), Pack(static_cast<float>(word)), Pack(5.0f));
      EXPECT_TRUE(std::isfinite(t.value.v[0]) && std::isfinite(t.freedom_slope.v[0])) << word;
    }
  }
}

TEST(BaseDensityTest, StudentTSampleByItsFormula) {
  for (std::uint32_t i = 0; i < 200; ++i) {
    const auto words = NormalWords(1, i, 0);
    for (const double nu : {1.0, 2.0, 7.0, 1000.0}) {
      const double u = (words[0] + 0.5) / 4294967296.0;
      const double v = words[1] / 4294967296.0;
      const auto formula = [&](double freedom) {
        return std::sqrt(freedom * std::expm1(-2 / freedom * std::log(u))) *
               std::cos(2 * std::numbers::pi * v);
      };
      const auto t = SampleStudentT<double>(nu, words[0], words[1]);
      EXPECT_NEAR(t.value, formula(nu), 1e-12 * (1 + std::fabs(t.value)));
      const double step = 1e-4 * nu;
      EXPECT_NEAR(t.freedom_slope, (formula(nu + step) - formula(nu - step)) / (2 * step),
                  1e-6 * (1e-3 + std::fabs(t.freedom_slope)));
    }
  }
}

}  // namespace
}  // namespace millrace
