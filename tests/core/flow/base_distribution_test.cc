// SPDX-License-Identifier: Apache-2.0
// What every base distribution obeys, on every engine.
#include "core/flow/base_distribution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/math/base_density.h"
#include "tests/core/flow/base_fixture.h"
#include "tests/support/numeric.h"

namespace millrace {
namespace {

using Kind = BaseSpec::Kind;

class BaseDistributionTest : public testing::TestWithParam<BaseCase> {
 protected:
  const Kernels& kernels() const { return *GetParam().engine.kernels; }
  const Kernels& plain() const { return *PlainEngine().kernels; }
  const BaseSpec& spec() const { return GetParam().spec; }
  bool single() const { return spec().kind != Kind::kNormalMixture || spec().components == 1; }
  double value_tolerance() const { return std::max(GetParam().engine.value_tolerance, 1e-7); }
  double gradient_tolerance() const { return GetParam().engine.gradient_tolerance; }
};

constexpr int kDims[] = {1, 2, 5, 19};

TEST_P(BaseDistributionTest, NanHasNoDensity) {
  if (spec().kind == Kind::kUniform) return;  // a number outside counts as one inside
  std::mt19937_64 random(8);
  const Base base(spec(), 2);
  Rows<double> z = RandomRows(random, 5, 2, 1.0);
  z(3, 1) = NAN;
  const std::vector<double> log_p = base.LogDensity(kernels(), base.RandomParameters(), z);
  for (int r = 0; r < 5; ++r) EXPECT_EQ(std::isnan(log_p[r]), r == 3) << r;
}

TEST_P(BaseDistributionTest, AgreesWithPlainKernels) {
  std::mt19937_64 random(1);
  for (const int dim : kDims) {
    const Base base(spec(), dim);
    const Rows<double> z = RandomRows(random, 37, dim, 2.0);
    for (const auto& parameters : {base.InitialParameters(), base.RandomParameters()}) {
      EXPECT_LE(MaxAbsDifference(base.LogDensity(kernels(), parameters, z),
                                 base.LogDensity(plain(), parameters, z)),
                value_tolerance());
      const Rows<double> samples = base.Sample(kernels(), parameters, 11, 37);
      const Rows<double> exact = base.Sample(plain(), parameters, 11, 37);
      // Float words near 1 have few bits left in a radius.
      EXPECT_LE(MaxAbsDifference(Values(samples), Values(exact)), 2e-3);
    }
  }
}

// In one dimension: over z = sinh(t), for heavy tails.
TEST_P(BaseDistributionTest, IntegratesToOne) {
  const Base base(spec(), 1);
  constexpr int kSteps = 8000;
  const bool uniform = spec().kind == Kind::kUniform;
  const double from = std::asinh(uniform ? spec().low : -1e6);
  const double step = (std::asinh(uniform ? spec().high : 1e6) - from) / kSteps;
  Rows<double> z(kSteps + 1, 1);
  for (int i = 0; i <= kSteps; ++i) z(i, 0) = std::sinh(from + i * step);
  for (const auto& parameters : {base.InitialParameters(), base.RandomParameters()}) {
    const std::vector<double> log_p = base.LogDensity(kernels(), parameters, z);
    double mass = 0.0;
    for (int i = 0; i <= kSteps; ++i)
      mass += (i == 0 || i == kSteps ? 0.5 : 1.0) * std::exp(log_p[i]) * std::cosh(from + i * step);
    EXPECT_NEAR(mass * step, 1.0, 1e-5);
  }
}

TEST_P(BaseDistributionTest, TermsSumToTheLogDensity) {
  std::mt19937_64 random(2);
  for (const int dim : kDims) {
    const Base base(spec(), dim);
    const Rows<double> z = RandomRows(random, 21, dim, 1.5);
    const auto parameters = base.RandomParameters();
    const std::vector<double> log_p = base.LogDensity(kernels(), parameters, z);
    const Rows<double> terms = base.Terms(kernels(), parameters, z);
    for (int r = 0; r < z.rows(); ++r) {
      double sum = 0.0;
      for (int c = 0; c < dim; ++c) sum += terms(r, c);
      EXPECT_NEAR(sum, log_p[r], 1e-9 * (1 + std::fabs(log_p[r])));
    }
  }
}

// Terms are those of the distribution of the columns so far: ln p(z_1) integrates to one, and so
// does ln p(z_2 | z_1) over z_2.
TEST_P(BaseDistributionTest, TermsAreConditionalDensities) {
  const Base base(spec(), 2);
  const auto parameters = base.RandomParameters();
  constexpr int kSteps = 8000;
  const bool uniform = spec().kind == Kind::kUniform;
  const double from = std::asinh(uniform ? spec().low : -1e6);
  const double step = (std::asinh(uniform ? spec().high : 1e6) - from) / kSteps;
  for (const int column : {0, 1}) {
    Rows<double> z(kSteps + 1, 2);
    for (int i = 0; i <= kSteps; ++i) {
      z(i, column) = std::sinh(from + i * step);
      z(i, 1 - column) = 0.8;
    }
    const Rows<double> terms = base.Terms(kernels(), parameters, z);
    double mass = 0.0;
    for (int i = 0; i <= kSteps; ++i)
      mass += (i == 0 || i == kSteps ? 0.5 : 1.0) * std::exp(terms(i, column)) *
              std::cosh(from + i * step);
    EXPECT_NEAR(mass * step, 1.0, 1e-5) << column;
  }
}

TEST_P(BaseDistributionTest, BackwardIsTheAdjoint) {
  std::mt19937_64 random(3);
  for (const int dim : kDims) {
    const Base base(spec(), dim);
    Rows<double> z = RandomRows(random, 19, dim, 2.0);
    std::vector<double> bar(19);
    for (double& b : bar) b = RandomNormal(random);
    for (auto parameters : {base.InitialParameters(), base.RandomParameters()}) {
      const auto gradient = base.LogDensityBackward(kernels(), parameters, z, bar);
      const auto loss = [&] {
        const std::vector<double> log_p = base.LogDensity(plain(), parameters, z);
        double sum = 0.0;
        for (std::size_t r = 0; r < log_p.size(); ++r) sum += bar[r] * log_p[r];
        return sum;
      };
      const double z_scale = std::max(1.0, MaxAbs(Values(gradient.z)));
      for (int r = 0; r < z.rows(); r += 5)
        for (int c = 0; c < dim; ++c)
          ASSERT_NEAR(gradient.z(r, c), CentralDifference(z(r, c), 1e-5, loss),
                      gradient_tolerance() * z_scale);
      const double scale = std::max(1.0, MaxAbs(gradient.parameters));
      for (std::size_t i = 0; i < parameters.size(); ++i)
        ASSERT_NEAR(gradient.parameters[i], CentralDifference(parameters[i], 1e-5, loss),
                    2 * gradient_tolerance() * scale)
            << i;
    }
  }
}

TEST_P(BaseDistributionTest, SampleBackwardIsTheAdjoint) {
  if (!single()) {
    EXPECT_EQ(CheckSampleGradient(spec()).code(), absl::StatusCode::kUnimplemented);
    return;
  }
  EXPECT_TRUE(CheckSampleGradient(spec()).ok());
  std::mt19937_64 random(4);
  for (const int dim : kDims) {
    const Base base(spec(), dim);
    const Rows<double> grad = RandomRows(random, 33, dim);
    auto parameters = base.RandomParameters();
    const std::vector<double> gradient = base.SampleBackward(kernels(), parameters, grad);
    const auto loss = [&] {
      const Rows<double> z = base.Sample(plain(), parameters, 0, 33);
      double sum = 0.0;
      for (int r = 0; r < z.rows(); ++r)
        for (int c = 0; c < dim; ++c) sum += grad(r, c) * z(r, c);
      return sum;
    };
    const double scale = std::max(1.0, MaxAbs(gradient));
    for (std::size_t i = 0; i < parameters.size(); ++i)
      ASSERT_NEAR(gradient[i], CentralDifference(parameters[i], 1e-5, loss),
                  5 * gradient_tolerance() * scale)
          << i;
  }
}

// Kolmogorov and Smirnov's distance of each column's samples to its distribution, which is had from
// the density of its own by quadrature.
TEST_P(BaseDistributionTest, SamplesFollowTheDensity) {
  constexpr int kRows = 20000, kGrid = 4000;
  const Base base(spec(), 3);
  const auto parameters = base.RandomParameters();
  const Rows<double> samples = base.Sample(kernels(), parameters, 0, kRows);
  for (int column = 0; column < 3; ++column) {
    // The marginal of a column: its parameters as those of a base of one column.
    const Base one(spec(), 1);
    std::vector<double> own(one.layout().size(), 0.0);
    for (std::size_t e = 0; e < base.layout().entries().size(); ++e) {
      const Slice from = base.layout().entries()[e].slice, to = one.layout().entries()[e].slice;
      for (int r = 0; r < to.rows; ++r)
        for (int c = 0; c < to.cols; ++c)
          own[to.offset + static_cast<std::size_t>(r) * to.ld + c] =
              parameters[from.offset + static_cast<std::size_t>(r) * from.ld +
                         (to.cols == from.cols ? c : column)];
    }
    std::vector<double> sorted(kRows);
    for (int r = 0; r < kRows; ++r) sorted[r] = samples(r, column);
    std::ranges::sort(sorted);
    const bool uniform = spec().kind == Kind::kUniform;
    const double from = std::asinh(uniform ? spec().low : -1e5);
    const double step = (std::asinh(uniform ? spec().high : 1e5) - from) / kGrid;
    Rows<double> grid(kGrid, 1);
    for (int i = 0; i < kGrid; ++i) grid(i, 0) = std::sinh(from + (i + 0.5) * step);
    const std::vector<double> log_p = one.LogDensity(plain(), own, grid);
    double cdf = 0.0, distance = 0.0;
    std::size_t below = 0;
    for (int i = 0; i < kGrid; ++i) {
      cdf += std::exp(log_p[i]) * std::cosh(from + (i + 0.5) * step) * step;
      while (below < sorted.size() && sorted[below] <= std::sinh(from + (i + 1) * step)) ++below;
      distance = std::max(distance, std::fabs(cdf - static_cast<double>(below) / kRows));
    }
    EXPECT_LE(distance, 1.63 / std::sqrt(kRows)) << column;  // one in a hundred seeds is beyond
  }
}

// A row's columns belong to one component: their joint log-density is what it must be on average.
TEST_P(BaseDistributionTest, SamplesFollowTheJointDensity) {
  constexpr int kRows = 20000;
  const Base base(spec(), 4);
  auto parameters = base.RandomParameters();
  if (spec().kind == Kind::kNormalMixture)  // components far apart
    for (double& p : parameters) p *= 4.0;
  const Rows<double> samples = base.Sample(kernels(), parameters, 0, kRows);
  const auto bar = std::vector<double>(kRows, 1.0 / kRows);
  // The expected score, d log p / d parameters, is zero.
  const auto score = base.LogDensityBackward(kernels(), parameters, samples, bar);
  EXPECT_LE(MaxAbs(score.parameters), 0.06);
}

TEST_P(BaseDistributionTest, SamplesDoNotDependOnTheirBlock) {
  for (const int dim : kDims) {
    const Base base(spec(), dim);
    const auto parameters = base.RandomParameters();
    const Rows<double> all = base.Sample(kernels(), parameters, 100, 70);
    for (const int rows : {1, 2, 15, 16, 33}) {
      for (const int first : {0, 1, 13, 37}) {
        const Rows<double> part = base.Sample(kernels(), parameters, 100 + first, rows);
        for (int r = 0; r < rows; ++r)
          for (int c = 0; c < dim; ++c) ASSERT_EQ(part(r, c), all(first + r, c));
      }
    }
    EXPECT_NE(base.Sample(kernels(), parameters, 100, 1, 1.0, 8)(0, 0), all(0, 0));
  }
}

TEST_P(BaseDistributionTest, EveryRowHasAKeyOfItsOwn) {
  const Base base(spec(), 5);
  const auto parameters = base.RandomParameters();
  std::vector<SampleKey> keys;
  for (std::uint64_t r = 0; r < 37; ++r)
    keys.push_back({r / 3, (std::uint64_t{1} << 33) - 11 * r, 0.25 * static_cast<double>(r % 7)});
  const Rows<double> all = base.Sample(kernels(), parameters, keys);
  for (std::size_t r = 0; r < keys.size(); ++r) {
    const auto [seed, row, temperature] = keys[r];
    const Rows<double> alone = base.Sample(kernels(), parameters, row, 1, temperature, seed);
    for (int c = 0; c < 5; ++c) ASSERT_EQ(all(r, c), alone(0, c)) << r;
  }
}

TEST_P(BaseDistributionTest, LogDensitiesDoNotDependOnTheirNeighbours) {
  std::mt19937_64 random(6);
  const Base base(spec(), 7);
  const auto parameters = base.RandomParameters();
  const Rows<double> z = RandomRows(random, 40, 7);
  const std::vector<double> all = base.LogDensity(kernels(), parameters, z);
  for (int r = 0; r < z.rows(); ++r) {
    Rows<double> row(1, 7);
    for (int c = 0; c < 7; ++c) row(0, c) = z(r, c);
    ASSERT_EQ(base.LogDensity(kernels(), parameters, row)[0], all[r]);
  }
}

TEST_P(BaseDistributionTest, TemperatureScalesTheNoise) {
  const Base base(spec(), 3);
  const auto parameters = base.RandomParameters();
  const auto at = [&](double temperature) {
    return base.Sample(kernels(), parameters, 0, 50, temperature);
  };
  const Rows<double> location = at(0.0), one = at(1.0), half = at(0.5), two = at(2.0);
  const double largest = spec().kind == Kind::kUniform ? 1.0 : 2.0;
  for (int r = 0; r < 50; ++r) {
    for (int c = 0; c < 3; ++c) {
      const double noise = one(r, c) - location(r, c);
      const double tolerance = 1e-5 * (1 + std::fabs(one(r, c)));
      EXPECT_NEAR(half(r, c), location(r, c) + 0.5 * noise, tolerance);
      EXPECT_NEAR(two(r, c), location(r, c) + largest * noise, tolerance);
      if (base.layout().size() > 0) continue;
      EXPECT_NEAR(location(r, c), spec().kind == Kind::kUniform ? 0.25 : 0.0, 1e-6);
    }
  }
  for (const auto& [name, slice, decays, statistic, gain] : base.layout().entries()) {
    if (name != "base.location" || slice.rows > 1) continue;
    for (int r = 0; r < 50; ++r)
      for (int c = 0; c < 3; ++c)
        EXPECT_FLOAT_EQ(location(r, c), parameters[slice.offset + c]) << r << " " << c;
  }
  // A mixture's locations are means of its components, by columns of one row together.
  if (spec().kind != Kind::kNormalMixture) return;
  const Slice means = base.layout().entries()[1].slice;
  for (int r = 0; r < 50; ++r) {
    bool found = false;
    for (int k = 0; k < means.rows; ++k) {
      bool same = true;
      for (int c = 0; c < 3; ++c)
        same &=
            location(r, c) == parameters[means.offset + static_cast<std::size_t>(k) * means.ld + c];
      found |= same;
    }
    EXPECT_TRUE(found) << r;
  }
}

TEST_P(BaseDistributionTest, StartsNearTheStandardNormal) {
  const Base base(spec(), 3);
  const auto parameters = base.InitialParameters();
  EXPECT_EQ(parameters, base.InitialParameters());
  if (spec().kind == Kind::kUniform || spec().kind == Kind::kLogistic) return;
  std::mt19937_64 random(7);
  const Rows<double> z = RandomRows(random, 500, 3);
  double gap = 0.0;
  const std::vector<double> log_p = base.LogDensity(kernels(), parameters, z);
  for (int r = 0; r < 500; ++r)
    for (int c = 0; c < 3; ++c) gap -= NormalDensity::LogDensity(z(r, c)) / 500;
  for (const double v : log_p) gap += v / 500;
  EXPECT_NEAR(gap, 0.0, spec().components == 1 ? 1.5 : 0.5);
}

TEST_P(BaseDistributionTest, ExtremeRowsStayFinite) {
  const Base base(spec(), 2);
  Rows<double> z(4, 2);
  for (int c = 0; c < 2; ++c) {
    z(0, c) = 1e6;
    z(1, c) = -1e6;
    z(2, c) = 0.0;
    z(3, c) = 1e-40;
  }
  for (const auto& parameters : {base.InitialParameters(), base.RandomParameters()}) {
    for (const double v : base.LogDensity(kernels(), parameters, z)) EXPECT_TRUE(std::isfinite(v));
    const auto gradient = base.LogDensityBackward(kernels(), parameters, z, {1, 1, 1, 1});
    EXPECT_TRUE(std::isfinite(MaxAbs(gradient.parameters)));
    EXPECT_TRUE(std::isfinite(MaxAbs(Values(gradient.z))));
  }
}

INSTANTIATE_TEST_SUITE_P(All, BaseDistributionTest, testing::ValuesIn(BaseCases()),
                         [](const auto& tested) { return tested.param.name; });

TEST(BaseSpecTest, NamesWhatIsWrong) {
  const auto message = [](const BaseSpec& spec) { return std::string(Validate(spec).message()); };
  EXPECT_TRUE(Validate(BaseSpec{}).ok());
  EXPECT_NE(message({.kind = Kind::kNormalMixture, .components = 0}).find("flow.base.components"),
            std::string::npos);
  EXPECT_NE(message({.kind = Kind::kNormalMixture, .components = 257}).find("257"),
            std::string::npos);
  EXPECT_NE(message({.kind = Kind::kUniform, .low = 1.0, .high = 1.0}).find("flow.base.high"),
            std::string::npos);
  EXPECT_NE(message({.kind = Kind::kUniform, .low = NAN}).find("flow.base.low"), std::string::npos);
  EXPECT_NE(message({.kind = Kind::kUniform, .high = INFINITY}).find("flow.base.high"),
            std::string::npos);
  EXPECT_TRUE(Validate(BaseSpec{.kind = Kind::kUniform, .low = -1e6, .high = 1e6}).ok());
}

}  // namespace
}  // namespace millrace
