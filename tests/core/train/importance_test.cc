// SPDX-License-Identifier: Apache-2.0
#include "core/train/importance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace millrace {
namespace {

constexpr double kNothing = -INFINITY;

// Weights 1, 2 and 5.
TEST(ImportanceTest, FiguresOfThreeSamples) {
  const std::vector<double> log_q = {-1.0, 0.0, 2.0};
  const std::vector<double> log_p = {-1.0, std::log(2.0), 2.0 + std::log(5.0)};
  const DensityFit fit = Compare(log_q, log_p, false);
  EXPECT_EQ(fit.samples, 3);
  EXPECT_NEAR(fit.log_normaliser, std::log(8.0 / 3.0), 1e-12);
  EXPECT_NEAR(fit.effective_sample_fraction, 64.0 / (3 * 30.0), 1e-12);
  EXPECT_NEAR(fit.log_normaliser_error, std::sqrt((30.0 / 3 - 64.0 / 9) / 3) / (8.0 / 3.0), 1e-12);
  EXPECT_NEAR(fit.divergence, std::log(8.0 / 3.0) - std::log(10.0) / 3, 1e-12);
  EXPECT_EQ(fit.outside_fraction, 0.0);
  EXPECT_NEAR(Compare(log_q, log_p, true).divergence, -std::log(10.0) / 3, 1e-12);
}

TEST(ImportanceTest, EqualDensitiesAgree) {
  const std::vector<double> log_q = {-700.0, 3.0, 900.0};
  const std::vector<double> log_p = {-695.0, 8.0, 905.0};
  const DensityFit fit = Compare(log_q, log_p, false);
  EXPECT_NEAR(fit.log_normaliser, 5.0, 1e-12);
  EXPECT_NEAR(fit.log_normaliser_error, 0.0, 1e-12);
  EXPECT_NEAR(fit.effective_sample_fraction, 1.0, 1e-12);
  EXPECT_NEAR(fit.divergence, 0.0, 1e-12);
}

// The integral counts samples outside, the divergence does not.
TEST(ImportanceTest, SamplesOutside) {
  const DensityFit fit = Compare(std::vector<double>(4, 0.0),
                                 std::vector<double>{0.0, kNothing, kNothing, 0.0}, false);
  EXPECT_NEAR(fit.log_normaliser, std::log(0.5), 1e-12);
  EXPECT_NEAR(fit.effective_sample_fraction, 0.5, 1e-12);
  EXPECT_NEAR(fit.outside_fraction, 0.5, 1e-12);
  EXPECT_NEAR(fit.divergence, std::log(0.5), 1e-12);
}

// p = e^2 N(0, 1), q = N(0, 1.5^2): everything is known.
TEST(ImportanceTest, NormalsOfKnownDivergence) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  constexpr int kSamples = 200000;
  constexpr double kScale = 1.5;
  std::vector<double> log_q(kSamples), log_p(kSamples);
  for (int i = 0; i < kSamples; ++i) {
    const double e = normal(random), x = kScale * e;
    log_q[i] = -0.5 * e * e - std::log(kScale);
    log_p[i] = 2.0 - 0.5 * x * x;
  }
  const DensityFit fit = Compare(log_q, log_p, false);
  EXPECT_NEAR(fit.log_normaliser, 2.0, 5 * fit.log_normaliser_error);
  EXPECT_LT(fit.log_normaliser_error, 0.002);
  EXPECT_NEAR(fit.divergence, 0.5 * (kScale * kScale - 1) - std::log(kScale),
              5 * fit.divergence_error);
  // E[w]^2 / E[w^2].
  const double precision = 2.0 - 1.0 / (kScale * kScale);
  EXPECT_NEAR(fit.effective_sample_fraction, std::sqrt(precision) / kScale, 0.01);
}

}  // namespace
}  // namespace millrace
