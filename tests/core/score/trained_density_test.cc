// SPDX-License-Identifier: Apache-2.0
// Densities as they come in practice, of default models: contributions on nearly determined
// columns, narrow and curved; and the mass of two moons.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/math/uniform.h"
#include "core/score/density.h"
#include "core/score/log_sum.h"
#include "core/train/train_model.h"
#include "tests/core/score/grid.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

// x uniform, y = x^2 but for 0.02, count about 3 x, and a column with 40 % zeros.
Rows<double> Table(int n) {
  Rows<double> rows(n, 4);
  for (int r = 0; r < n; ++r) {
    const auto u = [r](std::uint32_t c) { return UniformAt(11, 1, r, c); };
    const double x = 4 * u(0) - 2;
    rows(r, 0) = x;
    rows(r, 1) = x * x + 0.02 * (u(1) + u(2) + u(3) - 1.5);
    rows(r, 2) = std::floor(3 * x + 2 * u(4));
    rows(r, 3) = u(5) < 0.4 ? 0.0 : u(6) + 0.2 * x;
  }
  return rows;
}

class TrainedDensityTest : public testing::Test {
 protected:
  void SetUp() override {
    backend_ = CreateCpuBackend({.threads = 2});
    rows_ = Table(3000);
    TrainRequest request;
    request.columns = {{.name = "x"}, {.name = "y"}, {.name = "count"}, {.name = "zeros"}};
    request.options.max_epochs = 15;
    auto model = TrainModel(request, rows_.view(), *backend_, {}, {});
    ASSERT_TRUE(model.ok()) << model.status();
    density_ = *Density::Create(std::make_shared<Model>(*std::move(model)), *backend_);
  }

  // The log of the sum of the density over one column of a row.
  double LogSum(int row, int column, double low, double high, double step) const {
    Rows<double> line(static_cast<std::int64_t>((high - low) / step), 4);
    for (std::int64_t i = 0; i < line.rows(); ++i) {
      for (int c = 0; c < 4; ++c) line(i, c) = rows_(row, c);
      line(i, column) = low + static_cast<double>(i) * step;
    }
    return LogSumExp(density_->LogProb(line.view(), {})->log_prob) + std::log(step);
  }

  std::unique_ptr<Backend> backend_;
  Rows<double> rows_;
  std::unique_ptr<const Density> density_;
};

TEST_F(TrainedDensityTest, ConditionalTermsAgreeWithSums) {
  ASSERT_EQ(density_->model().columns.columns()[2].type, ColumnType::kDiscrete);
  ASSERT_GT(density_->model().columns.columns()[3].bin_width, 0.0);
  constexpr int kRows = 4;
  const auto score = density_->Score(
      rows_.view().Slice(0, kRows),
      {.false_positive_rate = 0.1, .contributions = Contributions::kConditional}, {});
  ASSERT_TRUE(score.ok()) << score.status();
  for (int r = 0; r < kRows; ++r) {
    const double log_prob = score->density.log_prob[r];
    EXPECT_NEAR(score->contributions(r, 0), log_prob - LogSum(r, 0, -6, 6, 5e-4), 1e-2) << r;
    EXPECT_NEAR(score->contributions(r, 1), log_prob - LogSum(r, 1, -4, 10, 5e-4), 1e-2) << r;
    EXPECT_NEAR(score->contributions(r, 2), log_prob - LogSum(r, 2, -60, 60, 1.0), 1e-2) << r;
    EXPECT_NEAR(score->contributions(r, 3), log_prob - LogSum(r, 3, -4, 5, 5e-4), 1e-2) << r;
  }
}

// A row far off in both of two columns that go together: each is as unlikely as ever given the
// other, on either side of where the column model goes on as a logarithm.
TEST(DefaultDensityTest, ContributionsOfFarRowsStayBelowTheConditionalsPeak) {
  const auto backend = CreateCpuBackend({.threads = 2});
  Rows<double> table = NormalTable(500, 2, 3);
  for (int r = 0; r < 500; ++r) table(r, 1) = table(r, 0) + 0.3 * table(r, 1);
  TrainRequest request;
  request.options.max_epochs = 5;
  const auto density = *Density::Create(
      std::make_shared<Model>(*TrainModel(request, table.view(), *backend, {}, {})), *backend);
  for (const double far : {5e5, 2e6, 1e12, 1e200}) {
    Rows<double> row(1, 2);
    row(0, 0) = row(0, 1) = far;
    const auto score = density->Score(
        row.view(), {.false_positive_rate = 0.1, .contributions = Contributions::kConditional}, {});
    ASSERT_TRUE(score.ok()) << score.status();
    for (int c = 0; c < 2; ++c) EXPECT_LT(score->contributions(0, c), 10.0) << far << " " << c;
  }
}

TEST(DefaultDensityTest, IntegratesToOneAndSamplesAsItSays) {
  const auto backend = CreateCpuBackend({.threads = 2});
  const Rows<double> table = TwoMoons::Table(3000, 1);
  TrainRequest request;
  request.options.max_epochs = 40;
  auto model = TrainModel(request, table.view(), *backend, {}, {});
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_FALSE(model->report.gaussian_fallback);
  ASSERT_TRUE(model->spec.stack->heavy_tails);
  const auto density = *Density::Create(std::make_shared<Model>(*std::move(model)), *backend);
  const Lattice2d grid{.low = -3.0, .high = 4.0, .cells = 140, .fine = 5};
  const std::vector<double> expected = CellProbabilities(*density, grid);
  EXPECT_NEAR(Sum(expected), 1.0, 0.01);
  const auto samples = density->Sample(7, 0, 100'000, 1.0, {});
  ASSERT_TRUE(samples.ok()) << samples.status();
  ExpectSamplesOf(expected, grid, *samples, 500);
}

}  // namespace
}  // namespace millrace
