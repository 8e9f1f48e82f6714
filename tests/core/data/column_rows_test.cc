// SPDX-License-Identifier: Apache-2.0
// Rows through a column model, in whatever form they come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/base/error_detail.h"
#include "core/data/column_transform.h"
#include "tests/core/data/every_kind.h"

namespace millrace {
namespace {

using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// 150 columns, more than are worked on at a time; every `step`-th is of another kind.
ColumnModel ManyColumns(int step) {
  std::vector<Column> columns;
  for (int c = 0; c < 150; ++c) {
    Column column{.name = std::to_string(c), .center = 0.3 * c - 20.0, .scale = 0.7 + 0.01 * c};
    if (c % step == 0 && c % 4 == 1)
      column = {.name = column.name, .type = ColumnType::kConstant, .constant = 0.1};
    if (c % step == 0 && c % 4 == 2) column.lower = -500.0;
    if (c % step == 0 && c % 4 == 3) column.bin_width = 0.5;
    columns.push_back(column);
  }
  return *ColumnModel::FromColumns(std::move(columns));
}

Rows<double> RowsOf(const ColumnModel& model, int n) {
  Rows<double> rows(n, model.num_columns());
  for (int r = 0; r < n; ++r) {
    for (int c = 0; c < rows.cols(); ++c) {
      const Column& column = model.columns()[c];
      rows(r, c) = column.type == ColumnType::kConstant
                       ? column.constant
                       : column.center + column.scale * (6 * UniformAt(5, 1, r, c) - 3);
    }
  }
  return rows;
}

template <typename T>
bool SameBits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

class ColumnRowsTest : public testing::TestWithParam<int> {
 protected:
  const ColumnModel model_ = ManyColumns(GetParam());
};

TEST_P(ColumnRowsTest, AreToTheBitWhatTheirValuesAre) {
  Rows<double> rows = RowsOf(model_, 20);
  const int last = model_.active().back();
  for (const double far : {1e7, -3e8, 1e300}) {
    const int r = static_cast<int>(std::log10(std::abs(far))) % 20;
    rows(r, model_.active()[0]) = rows(r, last) = far;
  }
  rows(4, 149) = model_.columns()[149].center;  // 0 standardised
  for (const int offset : {ColumnModel::kBinCentres, 0}) {
    const Scored scored = ToModel(model_, rows.view(), offset);
    Rows<double> back(20, model_.num_columns());
    model_.FromModel(scored.x.view(), back.view());
    for (int r = 0; r < 20; ++r) {
      double log_det = 0.0;
      for (int i = 0; i < model_.dim(); ++i) {
        const Column& column = model_.columns()[model_.active()[i]];
        const ModelValue value =
            ToModel(column, rows(r, model_.active()[i]), model_.Position(i, offset));
        ASSERT_TRUE(SameBits(scored.x(r, i), static_cast<float>(value.standardised))) << r << i;
        ASSERT_TRUE(SameBits(back(r, model_.active()[i]), FromModel(column, scored.x(r, i))));
        log_det += value.log_det;
      }
      ASSERT_TRUE(SameBits(scored.log_det[r], log_det)) << r;
    }
  }
}

TEST_P(ColumnRowsTest, AreTheSameInEveryForm) {
  const int cols = model_.num_columns();
  Rows<double> rows = RowsOf(model_, 9);
  Rows<float> floats(9, cols);
  std::copy_n(rows.data(), 9 * cols, floats.data());
  std::copy_n(floats.data(), 9 * cols, rows.data());  // what both can say
  const Scored expected = ToModel(model_, rows.view(), 0);
  const auto expect_same = [&](const NumberRows& given) {
    Scored scored = expected;
    std::fill_n(scored.x.data(), 9 * model_.dim(), 0.0f);
    EXPECT_EQ(model_.ToModel(given, 0, scored.x.view(), scored.log_det, scored.outside), 9);
    for (std::int64_t i = 0; i < 9 * model_.dim(); ++i)
      ASSERT_TRUE(SameBits(scored.x.data()[i], expected.x.data()[i]));
    EXPECT_EQ(scored.log_det, expected.log_det);
    EXPECT_EQ(scored.outside, expected.outside);
  };
  expect_same(floats.view());
  // At an odd address, and in another order.
  std::vector<int> order;
  for (int c = 0; c < cols; ++c) order.push_back((7 * c + 3) % cols);
  std::vector<char> bytes(1 + sizeof(double) * 9 * static_cast<std::size_t>(cols));
  const auto put = [&](std::int64_t place, auto number) {
    std::memcpy(bytes.data() + 1 + static_cast<std::size_t>(place) * sizeof(number), &number,
                sizeof(number));
  };
  for (const auto type : {NumberRows::Type::kFloat32, NumberRows::Type::kFloat64}) {
    for (int r = 0; r < 9; ++r) {
      for (int c = 0; c < cols; ++c) {
        if (type == NumberRows::Type::kFloat32)
          put(r * cols + order[c], floats(r, c));
        else
          put(r * cols + order[c], rows(r, c));
      }
    }
    NumberRows view(bytes.data() + 1, type, 9, cols);
    view.order = order;
    expect_same(view);
  }
}

TEST_P(ColumnRowsTest, ThatAreNotFiniteAreFound) {
  for (const double bad : {kNaN, kInfinity, -kInfinity}) {
    for (const int column : {0, 1, 63, 64, 145, 149}) {
      Rows<double> rows = RowsOf(model_, 9);
      rows(2, 3) = 1e9;  // far, but a number
      rows(5, column) = rows(7, 0) = bad;
      Scored scored = ToModel(model_, rows.view(), 0);
      EXPECT_EQ(model_.ToModel(rows.view(), 0, scored.x.view(), scored.log_det, scored.outside), 5)
          << bad << " " << column;
      for (int r = 0; r < 9; ++r) EXPECT_EQ(scored.outside[r], r == 5 || r == 7);
      for (int r = 0; r < 9; ++r) EXPECT_EQ(model_.CheckRow(rows.view(), r).ok(), r != 5 && r != 7);
      for (int i = 0; i < model_.dim(); ++i) EXPECT_TRUE(std::isfinite(scored.x(5, i)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OtherKinds, ColumnRowsTest, testing::Values(1000, 5, 1),
                         [](const auto& tested) {
                           return tested.param == 1000 ? "None"
                                  : tested.param == 5  ? "Some"
                                                       : "Most";
                         });

TEST(ColumnRows, AtAllOffsetsAreThoseAtEach) {
  const ColumnModel model = Fitted();
  const Rows<double> table = Table(11);
  const int offsets = model.num_offsets();
  ASSERT_GT(offsets, 1);
  Rows<float> x(11 * offsets, model.dim());
  std::vector<double> log_det(11 * offsets);
  std::vector<std::uint8_t> outside(11);
  EXPECT_EQ(model.ToModelAtOffsets(table.view(), x.view(), log_det, outside), 11);
  for (int k = 0; k < offsets; ++k) {
    const Scored scored = ToModel(model, table.view(), k);
    EXPECT_EQ(scored.outside, outside);
    for (int r = 0; r < 11; ++r) {
      EXPECT_EQ(scored.log_det[r], log_det[r * offsets + k]);
      for (int i = 0; i < model.dim(); ++i) EXPECT_EQ(scored.x(r, i), x(r * offsets + k, i));
    }
  }
}

TEST(ColumnRows, NanStaysNanOnTheWayBack) {
  const ColumnModel model = ManyColumns(1000);
  Rows<float> x(1, model.dim());
  x(0, 70) = std::numeric_limits<float>::quiet_NaN();
  Rows<double> back(1, model.dim());
  model.FromModel(x.view(), back.view());
  for (int c = 0; c < model.dim(); ++c) EXPECT_EQ(std::isnan(back(0, c)), c == 70);
}

TEST(ColumnRows, AreCheckedAndNamedAsTheyStand) {
  const ColumnModel model = Fitted();
  Rows<double> rows = Table(5);
  EXPECT_TRUE(model.CheckShape(rows.view()).ok());
  EXPECT_FALSE(model.CheckShape(Rows<double>(0, 8).view()).ok());
  EXPECT_FALSE(model.CheckShape(Rows<double>(2, 7).view()).ok());
  rows(3, 2) = rows(3, 6) = kNaN;
  EXPECT_TRUE(model.CheckRow(rows.view(), 2).ok());
  const absl::Status status = model.CheckRow(rows.view(), 3);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const ErrorDetail detail = DetailOf(status);
  EXPECT_EQ(detail.field, "rows");
  EXPECT_EQ(detail.row, 3);
  EXPECT_EQ(detail.column, 2);
  EXPECT_EQ(detail.value, "nan");
  EXPECT_THAT(detail.expected, HasSubstr("'above'"));
  // The model's column 5 stands at place 2 now, its column 1 at place 6.
  const std::vector<int> order = {7, 6, 5, 4, 3, 2, 1, 0};
  NumberRows reversed = rows.view();
  reversed.order = order;
  const ErrorDetail other = DetailOf(model.CheckRow(reversed, 3));
  EXPECT_EQ(other.column, 2);
  EXPECT_THAT(other.expected, HasSubstr("'positive count'"));
}

}  // namespace
}  // namespace millrace
