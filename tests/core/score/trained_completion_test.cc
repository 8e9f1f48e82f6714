// SPDX-License-Identifier: Apache-2.0
// Completions under a trained density of two moons: where x lies between them, y has two modes.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/score/density.h"
#include "core/train/train_model.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

class MoonsTest : public testing::Test {
 protected:
  static constexpr int kCells = 120;
  static constexpr int kFine = 10;
  static constexpr double kLow = -3.0, kHigh = 3.0;

  void SetUp() override {
    backend_ = CreateCpuBackend({.threads = 2});
    TrainRequest request;
    request.options.max_epochs = 40;
    auto model = TrainModel(request, TwoMoons::Table(3000, 1).view(), *backend_, {}, {});
    ASSERT_TRUE(model.ok()) << model.status();
    ASSERT_FALSE(model->report.gaussian_fallback);
    density_ = *Density::Create(std::make_shared<Model>(*std::move(model)), *backend_);
  }

  // The density of y given x in the middle of narrow cells, [kCells * kFine], as probabilities.
  std::vector<double> Conditional(double x) const {
    Rows<double> line(kCells * kFine, 2);
    for (int i = 0; i < line.rows(); ++i) {
      line(i, 0) = x;
      line(i, 1) = kLow + (i + 0.5) * (kHigh - kLow) / (kCells * kFine);
    }
    std::vector<double> p = density_->LogProb(line.view(), {})->log_prob;
    double sum = 0.0;
    for (double& v : p) sum += v = std::exp(v);
    for (double& v : p) v /= sum;
    return p;
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<const Density> density_;
};

// Pearson's chi-squared of the draws in cells of at least ten expected ones, those of fewer taken
// together, is within five deviations of what it is for independent draws.
TEST_F(MoonsTest, DrawsHaveTheConditionalDensity) {
  constexpr int kDraws = 5000;
  for (const double x : {-0.5, 0.5, 1.0}) {
    Rows<double> row(1, 2);
    row(0, 0) = x;
    row(0, 1) = kNaN;
    const auto done = density_->Complete(row.view(), {.draws = kDraws, .steps = 100}, {});
    ASSERT_TRUE(done.ok()) << done.status();
    std::vector<double> counts(kCells);
    double acceptance = 0.0;
    for (int r = 0; r < kDraws; ++r) {
      const double cell = (done->rows(r, 1) - kLow) / (kHigh - kLow) * kCells;
      if (cell >= 0.0 && cell < kCells) counts[static_cast<std::size_t>(cell)] += 1.0;
      acceptance += done->acceptance[r] / kDraws;
    }
    const std::vector<double> p = Conditional(x);
    double chi_squared = 0.0, rare = 0.0, rare_expected = 0.0;
    int cells = 1;
    for (int i = 0; i < kCells; ++i) {
      double expected = 0.0;
      for (int j = 0; j < kFine; ++j) expected += kDraws * p[i * kFine + j];
      if (expected >= 10.0) {
        chi_squared += (counts[i] - expected) * (counts[i] - expected) / expected;
        ++cells;
      } else {
        rare += counts[i];
        rare_expected += expected;
      }
    }
    if (rare_expected > 0.0)
      chi_squared += (rare - rare_expected) * (rare - rare_expected) / rare_expected;
    EXPECT_GT(cells, 6) << x;
    EXPECT_LE(chi_squared, cells + 5.0 * std::sqrt(2.0 * cells)) << x << " " << cells;
    EXPECT_GT(acceptance, 0.2) << x;
    RecordProperty("acceptance", std::to_string(acceptance));
  }
}

TEST_F(MoonsTest, BothModesAreDrawnAndTheHigherIsTheMostLikely) {
  Rows<double> row(1, 2);
  row(0, 0) = 0.5;
  row(0, 1) = kNaN;
  const std::vector<double> p = Conditional(0.5);
  std::size_t highest = 0;
  double upper = 0.0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] > p[highest]) highest = i;
    if (kLow + static_cast<double>(i) * (kHigh - kLow) / (kCells * kFine) > 0.25) upper += p[i];
  }
  ASSERT_GT(upper, 0.2);
  ASSERT_LT(upper, 0.8);
  const auto mode = density_->Complete(row.view(), {}, {});
  ASSERT_TRUE(mode.ok()) << mode.status();
  EXPECT_TRUE(mode->converged[0]);
  EXPECT_NEAR(mode->rows(0, 1),
              kLow + (static_cast<double>(highest) + 0.5) * (kHigh - kLow) / (kCells * kFine),
              0.02);
  const auto done = density_->Complete(row.view(), {.draws = 2000}, {});
  ASSERT_TRUE(done.ok()) << done.status();
  double drawn = 0.0;
  for (int r = 0; r < 2000; ++r) drawn += done->rows(r, 1) > 0.25 ? 1.0 / 2000 : 0.0;
  EXPECT_NEAR(drawn, upper, 5.0 * std::sqrt(upper * (1.0 - upper) / 2000));
}

}  // namespace
}  // namespace millrace
