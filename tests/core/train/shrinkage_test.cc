// SPDX-License-Identifier: Apache-2.0
#include "core/train/shrinkage.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/core/train/tables.h"

namespace millrace {
namespace {

Rows<float> Floats(const Rows<double>& table) {
  Rows<float> rows(table.rows(), table.cols());
  for (std::int64_t r = 0; r < rows.rows(); ++r)
    for (int c = 0; c < rows.cols(); ++c) rows(r, c) = static_cast<float>(table(r, c));
  return rows;
}

// All columns are one number and a little noise.
Rows<double> Alike(std::int64_t rows, int cols) {
  Rows<double> table = NormalTable(rows, cols, 5);
  for (std::int64_t r = 0; r < rows; ++r)
    for (int c = 1; c < cols; ++c) table(r, c) = table(r, 0) + 0.1 * table(r, c);
  return table;
}

double Chosen(const Rows<double>& table) { return *ChooseShrinkage(Floats(table).view(), {}); }

TEST(ShrinkageTest, TakesItsShareOfTheCovariancesOnly) {
  std::vector<double> covariance = {4.0, 1.0, -2.0, 1.0, 9.0, 0.5, -2.0, 0.5, 1.0};
  Shrink(0.5, 3, covariance);
  EXPECT_EQ(covariance, (std::vector<double>{4.0, 0.5, -1.0, 0.5, 9.0, 0.25, -1.0, 0.25, 1.0}));
  Shrink(1.0, 3, covariance);
  EXPECT_EQ(covariance, (std::vector<double>{4.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 1.0}));
}

TEST(ShrinkageTest, FewRowsOfIndependentColumnsAreShrunkFar) {
  EXPECT_GE(Chosen(NormalTable(40, 12, 1)), 0.4);
  EXPECT_GE(Chosen(NormalTable(400, 150, 1)), 0.4);  // more columns than are worth every fold
}

TEST(ShrinkageTest, ColumnsThatAreAlikeStaySo) {
  const double shrinkage = Chosen(Alike(60, 8));
  EXPECT_LE(shrinkage, 0.01);
}

TEST(ShrinkageTest, ManyRowsNeedNone) {
  EXPECT_EQ(Chosen(NormalTable(1200, 12, 1)), 0.0);
  EXPECT_EQ(Chosen(NormalTable(10, 1, 1)), 0.0);
  EXPECT_EQ(Chosen(NormalTable(2, 3, 1)), 0.0);
}

TEST(ShrinkageTest, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(
      ChooseShrinkage(Floats(NormalTable(40, 12, 1)).view(), stop.get_token()).status().code(),
      absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace millrace
