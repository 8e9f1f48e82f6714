// SPDX-License-Identifier: Apache-2.0
#include "core/data/context_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "core/base/error_detail.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr auto kFeature = ColumnRole::kFeature;
constexpr auto kCondition = ColumnRole::kCondition;

Rows<double> Table(int cols, std::initializer_list<double> values) {
  Rows<double> rows(static_cast<std::int64_t>(values.size()) / cols, cols);
  std::copy(values.begin(), values.end(), rows.data());
  return rows;
}

// Columns c (a number), x (a feature) and k (a label); c has mean 4 and deviation 2.
class ContextModelTest : public ::testing::Test {
 protected:
  absl::StatusOr<ContextModel> Fit() const {
    const auto columns = ColumnModel::Fit(specs_, table_.view());
    EXPECT_TRUE(columns.ok()) << columns.status();
    return ContextModel::Fit(specs_, table_.view(), *columns);
  }
  std::vector<float> Seen(const ContextModel& model, std::initializer_list<double> row) const {
    const Rows<double> context = Table(static_cast<int>(row.size()), row);
    EXPECT_TRUE(model.Check(context.view(), 1).ok()) << model.Check(context.view(), 1);
    const Rows<float> seen = model.ToModel(context.view(), 0, 1);
    return {seen.data(), seen.data() + seen.cols()};
  }

  std::vector<ColumnSpec> specs_ = {
      {.name = "c", .role = kCondition},
      {.name = "x", .role = kFeature},
      {.name = "k", .type = ColumnType::kCategorical, .role = kCondition}};
  Rows<double> table_ = Table(3, {2, 0.5, 7,   //
                                  6, 1.5, -1,  //
                                  2, 2.7, 7,   //
                                  6, 3.2, 0.1});
};

TEST_F(ContextModelTest, NumbersAreStandardisedAndLabelsOneHot) {
  const auto model = Fit();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->num_columns(), 2);
  EXPECT_EQ(model->dim(), 4);
  EXPECT_THAT(model->conditions(),
              ElementsAre(Condition{.name = "c", .position = 0, .mean = 4.0, .deviation = 2.0},
                          Condition{.name = "k", .position = 2, .categories = {-1, 0.1, 7}}));
  EXPECT_THAT(Seen(*model, {5.0, 7.0}), ElementsAre(FloatEq(0.5f), 0, 0, 1));
  EXPECT_THAT(Seen(*model, {4.0, -1.0}), ElementsAre(0, 1, 0, 0));
}

TEST_F(ContextModelTest, ALabelMayHaveTravelledInSinglePrecision) {
  const auto model = Fit();
  EXPECT_THAT(Seen(*model, {4.0, static_cast<double>(0.1f)}), ElementsAre(0, 0, 1, 0));
}

TEST_F(ContextModelTest, FarNumbersStayWithinReach) {
  const auto model = Fit();
  for (const double far : {1e3, 1e200, 1.7e308}) {
    EXPECT_EQ(Seen(*model, {far, 7.0})[0], 100.0f) << far;
    EXPECT_EQ(Seen(*model, {-far, 7.0})[0], -100.0f) << far;
  }
}

TEST_F(ContextModelTest, ANumberOfOneValueIsSeenAsZero) {
  for (int r = 0; r < 4; ++r) table_(r, 0) = 0.1;
  const auto model = Fit();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->conditions()[0].mean, 0.1);
  EXPECT_EQ(model->conditions()[0].deviation, 0.0);
  for (const double value : {0.1, 0.2, -1e300}) EXPECT_EQ(Seen(*model, {value, 7.0})[0], 0.0f);
}

TEST_F(ContextModelTest, OneRowStandsForAll) {
  const auto model = Fit();
  const Rows<double> one = Table(2, {6, -1});
  ASSERT_TRUE(model->Check(one.view(), 5).ok());
  const Rows<float> seen = model->ToModel(one.view(), 2, 3);
  ASSERT_EQ(seen.rows(), 3);
  for (int r = 0; r < 3; ++r) EXPECT_EQ(seen(r, 0), 1.0f);
  const Rows<double> two = Table(2, {6, -1, 2, 7});
  const Rows<float> second = model->ToModel(two.view(), 1, 1);
  EXPECT_EQ(second(0, 0), -1.0f);
  EXPECT_EQ(second(0, 3), 1.0f);
}

TEST_F(ContextModelTest, WithoutConditionsThereIsNothing) {
  for (ColumnSpec& spec : specs_) spec = {.name = spec.name};
  const auto model = Fit();
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model->dim(), 0);
  EXPECT_TRUE(model->Check({}, 3).ok());
  EXPECT_EQ(model->ToModel({}, 0, 3).rows(), 0);
  const Rows<double> one = Table(1, {1});
  EXPECT_THAT(std::string(model->Check(one.view(), 1).message()),
              HasSubstr("context: 1 rows; expected none"));
}

TEST_F(ContextModelTest, ColumnsAreMatchedByName) {
  const auto model = Fit();
  EXPECT_THAT(*model->MatchColumns(std::vector<std::string>{"k", "c"}), ElementsAre(1, 0));
  EXPECT_THAT(*model->MatchColumns({}), ElementsAre(0, 1));
  const auto unknown = model->MatchColumns(std::vector<std::string>{"c", "k", "x"});
  EXPECT_EQ(DetailOf(unknown.status()).field, "context_column_names[2]");
}

TEST_F(ContextModelTest, RefusesAContextThatDoesNotFit) {
  const auto model = Fit();
  const auto refused = [&](const Rows<double>& context, std::int64_t rows) {
    const absl::Status status = model->Check(context.view(), rows);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(status).field, "context");
    return DetailOf(status);
  };
  EXPECT_THAT(refused({}, 2).expected, HasSubstr("'c', 'k'"));
  EXPECT_EQ(refused(Table(1, {4}), 1).value, "1 columns");
  EXPECT_THAT(refused(Table(2, {4, 7, 4, 7}), 3).expected, HasSubstr("3 rows"));
  for (const double bad : {std::nan(""), kInfinity, -kInfinity}) {
    const ErrorDetail detail = refused(Table(2, {4, 7, bad, 7}), 2);
    EXPECT_EQ(detail.row, 1);
    EXPECT_EQ(detail.column, 0);
  }
  const ErrorDetail label = refused(Table(2, {4, 7, 4, 6}), 2);
  EXPECT_EQ(label.row, 1);
  EXPECT_EQ(label.column, 1);
  EXPECT_EQ(label.value, "6");
  EXPECT_EQ(label.expected, "a category of 'k': -1, 0.1, 7");
}

TEST_F(ContextModelTest, RefusesSpecsAndTablesItCannotFit) {
  const auto columns = ColumnModel::Fit(specs_, table_.view());
  const auto refused = [&](const std::function<void()>& spoil, const std::string& field) {
    const auto specs = specs_;
    const Rows<double> table = table_;
    spoil();
    const auto model = ContextModel::Fit(specs_, table_.view(), *columns);
    EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(model.status()).field, field) << model.status();
    specs_ = specs;
    table_ = table;
  };
  refused([&] { specs_[0].type = ColumnType::kDiscrete; }, "columns[0].type");
  refused([&] { specs_[0].type = ColumnType::kConstant; }, "columns[0].type");
  refused([&] { specs_[0].type = ColumnType::kPixel; }, "columns[0].type");
  refused([&] { specs_[0].lower = 0.0; }, "columns[0].lower");
  refused([&] { specs_[2].upper = 9.0; }, "columns[2].upper");
  refused([&] { specs_[2].bin_width = 1.0; }, "columns[2].bin_width");
  refused([&] { specs_[2].name = "x"; }, "conditions[1].name");
  refused([&] { specs_[2].name = "c"; }, "conditions[1].name");
  refused([&] { specs_[0].name = ""; }, "conditions[0].name");
  refused([&] { table_(1, 0) = std::nan(""); }, "rows");
  refused([&] { table_(1, 2) = kInfinity; }, "rows");
  refused([&] { table_(1, 0) = 1e200; }, "rows");
  refused(
      [&] {
        for (int r = 0; r < 4; ++r) table_(r, 0) = r * 1e-200;
      },
      "columns[0]");
}

TEST_F(ContextModelTest, ThereAreAtMostAThousandCategories) {
  table_ = Rows<double>(1001, 3);
  for (int r = 0; r < 1001; ++r) table_(r, 1) = table_(r, 2) = r % 1000;
  const auto model = Fit();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->dim(), 1001);
  table_(1000, 2) = 1000;
  const auto refused = Fit();
  EXPECT_EQ(DetailOf(refused.status()).row, 1000);
  EXPECT_THAT(DetailOf(refused.status()).expected, HasSubstr("1000 categories of 'k'"));
}

// What a damaged model file may say.
TEST_F(ContextModelTest, ConditionsThatContradictThemselvesAreRefused) {
  const auto columns = ColumnModel::Fit(specs_, table_.view());
  const auto model = Fit();
  const std::vector<Condition> good = {model->conditions().begin(), model->conditions().end()};
  EXPECT_EQ(*ContextModel::FromConditions(good, *columns), *model);
  const auto refused = [&](const std::function<void(std::vector<Condition>&)>& spoil) {
    std::vector<Condition> bad = good;
    spoil(bad);
    return ContextModel::FromConditions(bad, *columns).status().code() ==
           absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](auto& c) { c[0].mean = kInfinity; }));
  EXPECT_TRUE(refused([](auto& c) { c[0].deviation = -1.0; }));
  EXPECT_TRUE(refused([](auto& c) { c[0].deviation = std::nan(""); }));
  EXPECT_TRUE(refused([](auto& c) { c[1].categories[0] = 5.0; }));
  EXPECT_TRUE(refused([](auto& c) { c[1].categories[2] = kInfinity; }));
  EXPECT_TRUE(refused([](auto& c) { c[1].categories.resize(1001); }));
  EXPECT_TRUE(refused([](auto& c) { c[0].name = "x"; }));
  EXPECT_TRUE(refused([](auto& c) { c[0].position = -1; }));
  EXPECT_TRUE(refused([](auto& c) { c[1].position = 0; }));
  EXPECT_TRUE(refused([](auto& c) { c[1].position = 3; }));
}

TEST(ColumnModelWithConditionsTest, PassesThemOver) {
  const Rows<double> table = Table(3, {2, 0.5, 7, 6, 1.5, -1, 2, 2.7, 7, 6, 3.2, 0});
  std::vector<ColumnSpec> specs = {
      {.name = "c", .role = kCondition}, {.name = "x"}, {.name = "k", .role = kCondition}};
  const auto model = ColumnModel::Fit(specs, table.view());
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ(model->num_columns(), 1);
  EXPECT_EQ(model->columns()[0].name, "x");
  specs[1].role = kCondition;
  const auto none = ColumnModel::Fit(specs, table.view());
  EXPECT_EQ(DetailOf(none.status()).field, "columns") << none.status();
  specs[1] = {.name = "x", .type = ColumnType::kCategorical};
  EXPECT_EQ(DetailOf(ColumnModel::Fit(specs, table.view()).status()).field, "columns[1].type");
}

}  // namespace
}  // namespace millrace
