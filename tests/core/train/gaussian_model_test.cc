// SPDX-License-Identifier: Apache-2.0
// The model a training falls back to, beside the plain Gaussian in double.
#include "core/train/gaussian_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/score/density.h"
#include "core/train/gaussian.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

// Correlated; the last column is an integer.
Rows<double> Table(std::int64_t rows) {
  Rows<double> table = NormalTable(rows, 3, 9);
  for (std::int64_t r = 0; r < rows; ++r) {
    table(r, 1) = 100.0 + 5.0 * table(r, 1) + 3.0 * table(r, 0);
    table(r, 2) = std::round(2.0 * table(r, 2) - table(r, 0));
  }
  return table;
}

class GaussianModelTest : public testing::Test {
 protected:
  void Use(Rows<double> table, bool heavy_tails) {
    table_ = std::move(table);
    std::vector<ColumnSpec> specs(table_.cols());
    for (int c = 0; c < table_.cols(); ++c) specs[c].name = "c" + std::to_string(c);
    model_.columns = *ColumnModel::Fit(specs, table_.view());
    model_.spec = {.dim = model_.columns.dim(), .stack = StackSpec{.heavy_tails = heavy_tails}};
  }

  std::vector<double> LogProb(double shrinkage, RowsView<const double> rows) {
    Rows<float> seen(table_.rows(), model_.columns.dim());
    std::vector<double> log_det(table_.rows());
    std::vector<std::uint8_t> outside(table_.rows());
    model_.columns.ToModel(table_.view(), ColumnModel::kBinCentres, seen.view(), log_det, outside);
    const auto gaussian = *GaussianModel(model_, {seen.view(), {}}, shrinkage, *backend_, {});
    EXPECT_EQ(gaussian->spec.stack->heavy_tails, model_.spec.stack->heavy_tails);
    return (*Density::Create(gaussian, *backend_))->LogProb(rows, {})->log_prob;
  }

  const std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 2});
  Rows<double> table_;
  Model model_;
};

TEST_F(GaussianModelTest, IsTheGaussianInDouble) {
  for (const bool heavy_tails : {false, true}) {
    Use(Table(400), heavy_tails);
    ASSERT_EQ(model_.columns.columns()[2].type, ColumnType::kDiscrete);
    const std::vector<double> log_prob = LogProb(0.0, table_.view());
    const std::vector<double> exact =
        Gaussian::Fit(model_.columns, table_.view(), {})->LogProb(table_.view());
    for (std::size_t r = 0; r < exact.size(); ++r)
      EXPECT_NEAR(log_prob[r], exact[r], 1e-4 * std::fabs(exact[r])) << r;
  }
}

TEST_F(GaussianModelTest, ShrunkToTheEndItsColumnsAreIndependent) {
  Use(Table(400), false);
  Rows<double> row(3, 3);  // a row, and two that differ from it in one column each
  for (int r = 0; r < 3; ++r)
    for (int c = 0; c < 3; ++c) row(r, c) = table_(0, c);
  row(1, 0) += 1.5;
  row(2, 1) += 4.0;
  Rows<double> both = row;
  both(0, 0) = row(1, 0), both(0, 1) = row(2, 1);
  const std::vector<double> one = LogProb(1.0, row.view());
  const double together = LogProb(1.0, both.view())[0];
  EXPECT_NEAR(together - one[0], (one[1] - one[0]) + (one[2] - one[0]), 1e-4);
  const std::vector<double> plain = LogProb(0.0, row.view());
  EXPECT_GT(
      std::fabs(LogProb(0.0, both.view())[0] - plain[0] - (plain[1] + plain[2] - 2 * plain[0])),
      0.1);
}

TEST_F(GaussianModelTest, IsOfColumnsWhateverTheModelIsOf) {
  Use(Table(400), false);
  const std::vector<double> expected = LogProb(0.0, table_.view());
  model_.spec.image = {1, 3, 1};
  model_.spec.stack->architecture = Architecture::kGlow;
  EXPECT_EQ(LogProb(0.0, table_.view()), expected);
}

TEST_F(GaussianModelTest, TailsAreTheModels) {
  Use(Table(400), true);
  Rows<double> far(1, 3);
  far(0, 0) = 1e4, far(0, 1) = 100.0;
  EXPECT_GT(LogProb(0.0, far.view())[0], -2000.0);
  Use(Table(400), false);
  EXPECT_LT(LogProb(0.0, far.view())[0], -1e6);
}

}  // namespace
}  // namespace millrace
