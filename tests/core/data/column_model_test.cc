// SPDX-License-Identifier: Apache-2.0
#include "core/data/column_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/base/error_detail.h"
#include "core/math/uniform.h"
#include "tests/core/data/every_kind.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ColumnModelTest, FitsEveryKind) {
  const ColumnModel model = Fitted();
  EXPECT_EQ(model.num_columns(), 8);
  EXPECT_THAT(model.active(), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_EQ(model.num_offsets(), 8);
  EXPECT_EQ(model.columns()[4].type, ColumnType::kDiscrete);
  EXPECT_EQ(model.columns()[6].type, ColumnType::kContinuous);
  EXPECT_GT(model.columns()[6].bin_width, 0.0);
  double log_unit = 0.0;
  for (int c = 0; c < 7; ++c) log_unit += std::log(model.columns()[c].deviation);
  EXPECT_DOUBLE_EQ(model.log_unit(), log_unit);
}

TEST(ColumnModelTest, FittingStopsWhenAsked) {
  const Rows<double> table = Table();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(ColumnModel::Fit(Specs(), table.view(), stop.get_token()).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(ColumnModelTest, TrainingRowsAreStandardised) {
  const ColumnModel model = Fitted();
  const Rows<double> table = Table();
  Rows<float> x(kRows, model.dim());
  model.ToTraining(table.view(), 1, 0, x.view());
  for (int i = 0; i < model.dim(); ++i) {
    double mean = 0.0;
    double square = 0.0;
    for (int r = 0; r < kRows; ++r) {
      mean += x(r, i) / kRows;
      square += double{x(r, i)} * x(r, i) / kRows;
    }
    EXPECT_NEAR(mean, 0.0, 0.1) << model.columns()[i].name;
    EXPECT_NEAR(square, 1.0, 0.2) << model.columns()[i].name;
  }
}

TEST(ColumnModelTest, NoiseDependsOnSeedRowAndColumnOnly) {
  const ColumnModel model = Fitted();
  const Rows<double> table = Table();
  Rows<float> all(kRows, model.dim());
  model.ToTraining(table.view(), 1, 0, all.view());
  Rows<float> part(10, model.dim());
  model.ToTraining(table.view().Slice(50, 10), 1, 50, part.view());
  Rows<float> other(10, model.dim());
  model.ToTraining(table.view().Slice(50, 10), 2, 50, other.view());
  for (int r = 0; r < 10; ++r) {
    for (int i = 0; i < model.dim(); ++i) {
      EXPECT_EQ(part(r, i), all(50 + r, i));
      const bool noisy = model.columns()[i].bin_width > 0.0;
      EXPECT_EQ(part(r, i) != other(r, i), noisy) << model.columns()[i].name;
    }
  }
}

// Noise fills a bin evenly and never leaves it.
TEST(ColumnModelTest, NoiseIsUniformInItsBin) {
  Rows<double> rows(20000, 1);
  for (int r = 0; r < rows.rows(); ++r) rows(r, 0) = r % 2 ? 3.0 : 7.0;
  const auto model = ColumnModel::Fit(std::vector<ColumnSpec>{{.name = "a"}}, rows.view());
  ASSERT_TRUE(model.ok());
  const Column& column = model->columns()[0];
  ASSERT_EQ(column.bin_width, 4.0);
  Rows<float> x(rows.rows(), 1);
  model->ToTraining(rows.view(), 5, 0, x.view());
  std::vector<int> histogram(8);
  for (int r = 1; r < rows.rows(); r += 2) {
    const double position = (x(r, 0) * column.scale + column.center - 1.0) / 4.0;
    ASSERT_GE(position, -1e-6);
    ASSERT_LE(position, 1 + 1e-6);
    ++histogram[std::min(7, static_cast<int>(position * 8))];
  }
  for (const int count : histogram) EXPECT_NEAR(count, 1250, 150);
}

// The log-determinant against central differences through Fit's own chain, column by column.
TEST(ColumnModelTest, LogDetIsTheLogOfTheSlope) {
  const ColumnModel model = Fitted();
  const Rows<double> table = Table(40);
  for (int r = 0; r < 40; ++r) {
    const Scored scored = ToModel(model, table.view().Slice(r, 1), 3);
    double expected = 0.0;
    for (int i = 0; i < model.dim(); ++i) {
      const Column& c = model.columns()[i];
      const double v = table(r, i);
      if (c.lower && c.upper)
        expected += std::log((*c.upper - *c.lower) / ((v - *c.lower) * (*c.upper - v)));
      else if (c.upper)
        expected += -std::log(*c.upper - v);
      else if (c.lower && c.type == ColumnType::kContinuous)
        expected += -std::log(v - *c.lower);
      else if (c.lower)  // the bin of 1 reaches down to the bound 0
        expected +=
            -std::log((v == 1.0 ? 0.0 : v - 0.5) + model.Position(i, 3) * (v == 1.0 ? 1.5 : 1.0)) +
            std::log(v == 1.0 ? 1.5 : 1.0);
      expected -= std::log(c.scale);
    }
    EXPECT_NEAR(scored.log_det[0], expected, 1e-9);
    EXPECT_EQ(scored.outside[0], 0);
  }
}

// With the density e^-|t|/2 of the standardised value, the mean over offsets sums to 1 over a
// lattice.
TEST(ColumnModelTest, DiscreteDensityIsAProbability) {
  for (const std::optional<double> lower : {std::optional<double>(), std::optional<double>(0.0)}) {
    Rows<double> rows(300, 1);
    for (int r = 0; r < 300; ++r) rows(r, 0) = 1 + r % 50;
    const auto model =
        ColumnModel::Fit(std::vector<ColumnSpec>{{.name = "a", .lower = lower}}, rows.view());
    ASSERT_TRUE(model.ok());
    ASSERT_EQ(model->columns()[0].type, ColumnType::kDiscrete);
    double sum = 0.0;
    Rows<double> point(1, 1);
    for (int v = -600; v < 6000; ++v) {
      point(0, 0) = v;
      for (int k = 0; k < model->num_offsets(); ++k) {
        const Scored s = ToModel(*model, point.view(), k);
        if (s.outside[0]) continue;
        sum += 0.5 * std::exp(-std::abs(s.x(0, 0)) + s.log_det[0]) / model->num_offsets();
      }
    }
    EXPECT_NEAR(sum, 1.0, 2e-3);
  }
}

TEST(ColumnModelTest, PositionsAreALatinHypercube) {
  const ColumnModel model = Fitted();
  bool differ = false;
  for (int i = 0; i < model.dim(); ++i) {
    std::vector<double> positions;
    for (int k = 0; k < 8; ++k) {
      positions.push_back(model.Position(i, k));
      differ |= model.Position(i, k) != model.Position(0, k);
    }
    std::sort(positions.begin(), positions.end());
    for (int k = 0; k < 8; ++k) EXPECT_EQ(positions[k], (k + 0.5) / 8);
    EXPECT_EQ(model.Position(i, ColumnModel::kBinCentres), 0.5);
  }
  EXPECT_TRUE(differ);
}

TEST(ColumnModelTest, FromModelInvertsToModel) {
  const ColumnModel model = Fitted();
  const Rows<double> table = Table();
  for (const int offset : {ColumnModel::kBinCentres, 0, 7}) {
    const Scored scored = ToModel(model, table.view(), offset);
    Rows<double> back(kRows, 8);
    model.FromModel(scored.x.view(), back.view());
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < 8; ++c) {
        const Column& column = model.columns()[c];
        if (column.type != ColumnType::kContinuous)
          EXPECT_EQ(back(r, c), table(r, c)) << column.name;
        else
          EXPECT_NEAR(back(r, c), table(r, c), 1e-5 + 0.5 * column.bin_width) << column.name;
      }
    }
  }
}

TEST(ColumnModelTest, MatchesColumnsByName) {
  const ColumnModel model =
      *ColumnModel::FromColumns({{.name = "a"}, {.name = "b"}, {.name = "c"}});
  const auto match = [&](std::vector<std::string> names) { return model.MatchColumns(names); };
  EXPECT_THAT(*match({}), ElementsAre(0, 1, 2));
  EXPECT_THAT(*match({"c", "a", "b"}), ElementsAre(1, 2, 0));
  EXPECT_THAT(match({"a", "b"}).status().message(), HasSubstr("'c'"));
  EXPECT_THAT(match({"a", "b", "a"}).status().message(), HasSubstr("column_names[2]: a"));
  EXPECT_THAT(match({"a", "b", "c", "d"}).status().message(), HasSubstr("column_names[3]: d"));
  EXPECT_THAT(match({"a", "b", "x"}).status().message(), HasSubstr("'c'"));
  for (const auto& names : {std::vector<std::string>{"a"}, {"a", "a", "b"}, {"a", "b", "c", "x"}})
    EXPECT_EQ(match(names).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ColumnModelTest, FitRefusesWhatContradictsItself) {
  Rows<double> rows(4, 2);
  for (int r = 0; r < 4; ++r) rows(r, 0) = r;
  const auto fit = [&](std::vector<ColumnSpec> specs, std::int64_t n) {
    return ColumnModel::Fit(specs, rows.view().Slice(0, n)).status();
  };
  EXPECT_TRUE(fit({{.name = "a"}, {.name = "b"}}, 4).ok());
  EXPECT_THAT(fit({{.name = "a"}, {.name = "a"}}, 4).message(), HasSubstr("columns[1].name: a"));
  EXPECT_THAT(fit({{.name = "a"}}, 4).message(), HasSubstr("columns"));
  EXPECT_THAT(fit({{.name = "a"}, {.name = "b"}}, 1).message(), HasSubstr("rows"));
  for (int r = 0; r < 4; ++r) rows(r, 0) = 5;
  EXPECT_THAT(fit({{.name = "a"}, {.name = "b"}}, 4).message(), HasSubstr("constant"));
}

TEST(ColumnModelTest, FromColumnsRefusesWhatFitNeverMakes) {
  const ColumnModel model = Fitted();
  const std::vector<Column> good(model.columns().begin(), model.columns().end());
  ASSERT_TRUE(ColumnModel::FromColumns(good).ok());
  const auto refused = [&](auto change) {
    std::vector<Column> columns = good;
    change(columns[4]);
    return ColumnModel::FromColumns(columns).status().code() == absl::StatusCode::kInvalidArgument;
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(refused([](Column& c) { c.name = ""; }));
  EXPECT_TRUE(refused([](Column& c) { c.name = "real"; }));
  EXPECT_TRUE(refused([](Column& c) { c.type = ColumnType::kAuto; }));
  EXPECT_TRUE(refused([](Column& c) { c.scale = 0.0; }));
  EXPECT_TRUE(refused([](Column& c) { c.scale = kNan; }));
  EXPECT_TRUE(refused([](Column& c) { c.center = kNan; }));
  EXPECT_TRUE(refused([](Column& c) { c.deviation = -1.0; }));
  EXPECT_TRUE(refused([](Column& c) { c.bin_width = 0.0; }));
  EXPECT_TRUE(refused([](Column& c) { c.bin_width = -1.0; }));
  EXPECT_TRUE(refused([](Column& c) { c.lattice_tolerance = 0.6; }));
  EXPECT_TRUE(refused([](Column& c) { c.lower = 1.0, c.upper = 1.0; }));
  // Of a lattice that ends, some of it lies within the bounds.
  const auto bounded = [&](std::optional<double> lowest, std::optional<double> highest) {
    return refused([&](Column& c) {
      c.lower = 0.0, c.upper = 10.0;
      c.lowest_point = lowest, c.highest_point = highest;
    });
  };
  EXPECT_FALSE(bounded(-3.0, 12.0));
  EXPECT_FALSE(bounded(9.0, {}));
  EXPECT_FALSE(bounded({}, 1.0));
  EXPECT_TRUE(bounded(10.0, {}));
  EXPECT_TRUE(bounded({}, 0.0));
  EXPECT_TRUE(bounded(5.0, 4.0));
  EXPECT_TRUE(bounded(kNan, {}));
  EXPECT_TRUE(bounded({}, kNan));
  EXPECT_FALSE(ColumnModel::FromColumns({}).ok());
}

}  // namespace
}  // namespace millrace
