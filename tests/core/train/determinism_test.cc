// SPDX-License-Identifier: Apache-2.0
// The same request makes the same model, on any number of threads.
#include <gtest/gtest.h>

#include "core/train/train_model.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

// A continuous column, a discrete one and a tied one: noise and offsets take part.
Rows<double> Mixed(std::int64_t rows) {
  Rows<double> table = NormalTable(rows, 3, 5);
  for (std::int64_t r = 0; r < rows; ++r) {
    table(r, 1) = std::round(table(r, 1) + table(r, 0));
    if (table(r, 2) < 0.0) table(r, 2) = 0.0;
  }
  return table;
}

TEST(DeterminismTest, ThreadsChangeNoBit) {
  const Rows<double> table = Mixed(400);
  const TrainRequest request = Quick();
  const absl::StatusOr<Model> one = Train(request, table, 1);
  ASSERT_TRUE(one.ok()) << one.status();
  const absl::StatusOr<Model> again = Train(request, table, 1);
  ASSERT_TRUE(again.ok());
  ExpectSameModel(*again, *one);
  const absl::StatusOr<Model> three = Train(request, table, 3);
  ASSERT_TRUE(three.ok());
  ExpectSameModel(*three, *one);
}

TEST(DeterminismTest, AnotherSeedIsAnotherSplitAndAnotherModel) {
  const Rows<double> table = Mixed(400);
  TrainRequest request = Quick(1);
  const absl::StatusOr<Model> one = Train(request, table);
  request.options.seed = 8;
  const absl::StatusOr<Model> other = Train(request, table);
  ASSERT_TRUE(one.ok() && other.ok());
  EXPECT_NE(one->report.gaussian_held_out, other->report.gaussian_held_out)
      << "other calibration rows";
  EXPECT_FALSE(SameBits<float>(one->parameters.span(), other->parameters.span()));
}

}  // namespace
}  // namespace millrace
