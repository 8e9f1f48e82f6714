// SPDX-License-Identifier: Apache-2.0
#include "core/data/column_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "core/base/error_detail.h"
#include "core/math/normal.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

double Uniform(int i, std::uint64_t seed = 1) { return UniformAt(seed, 1, i, 0); }

// Nearly normal: deviation 1.
double Normal(int i) {
  double sum = -6.0;
  for (std::uint64_t k = 0; k < 12; ++k) sum += Uniform(i, 100 + k);
  return sum;
}

std::vector<double> Values(int n, const std::function<double(int)>& value) {
  std::vector<double> values(n);
  for (int i = 0; i < n; ++i) values[i] = value(i);
  return values;
}

double Written(double value, const char* format) {
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return std::atof(text);
}

Column Fitted(const std::vector<double>& values, ColumnSpec spec = {.name = "a"}) {
  const absl::StatusOr<Column> column = FitColumn(spec, 0, values, 0.05);
  EXPECT_TRUE(column.ok()) << column.status();
  return column.ok() ? *column : Column{};
}

struct DetectionCase {
  const char* what;
  std::function<double(int)> value;
  int rows;
  ColumnType type;
  double bin_width;  // 0: none; negative: tied, whatever its width
};

void PrintTo(const DetectionCase& c, std::ostream* out) { *out << c.what; }

class DetectionTest : public testing::TestWithParam<DetectionCase> {};

TEST_P(DetectionTest, ChoosesTypeAndBin) {
  const DetectionCase& c = GetParam();
  const Column column = Fitted(Values(c.rows, c.value));
  EXPECT_EQ(column.type, c.type);
  if (c.bin_width >= 0.0)
    EXPECT_NEAR(column.bin_width, c.bin_width, 1e-4 * c.bin_width);
  else
    EXPECT_DOUBLE_EQ(column.bin_width, column.deviation / 40);
}

constexpr auto kContinuous = ColumnType::kContinuous;
constexpr auto kDiscrete = ColumnType::kDiscrete;

INSTANTIATE_TEST_SUITE_P(
    Columns, DetectionTest,
    testing::Values(
        DetectionCase{"Reals", [](int i) { return Normal(i); }, 1000, kContinuous, 0},
        DetectionCase{"FourSignificantDigits", [](int i) { return Written(Normal(i), "%.4g"); },
                      50000, kContinuous, 0},
        DetectionCase{"FiveSignificantDigits",
                      [](int i) { return Written(100 * Normal(i), "%.5g"); }, 50000, kContinuous,
                      0},
        DetectionCase{"FourDecimals", [](int i) { return Written(Normal(i), "%.4f"); }, 50000,
                      kContinuous, 0},
        DetectionCase{"TwoDecimals", [](int i) { return Written(Normal(i), "%.2f"); }, 50000,
                      kContinuous, 0},
        DetectionCase{"EightBitsOverTheirLargest",
                      [](int i) { return std::floor(256 * Uniform(i)) / 255; }, 5000, kDiscrete,
                      1 / 255.0},
        DetectionCase{"Counts", [](int i) { return std::floor(20 * Uniform(i)); }, 500, kDiscrete,
                      1},
        DetectionCase{"Flag", [](int i) { return Uniform(i) < 0.01 ? 1.0 : 0.0; }, 500, kDiscrete,
                      1},
        DetectionCase{"IntegersThatDoNotRepeat", [](int i) { return std::floor(1e7 * Uniform(i)); },
                      500, kContinuous, 0},
        DetectionCase{
            "AmountsMostlyZero",
            [](int i) { return Uniform(i) < 0.9 ? 0.0 : std::floor(1e5 * Uniform(i, 2)); }, 5000,
            kDiscrete, 1},
        DetectionCase{"Tens", [](int i) { return 10 * std::floor(20 * Uniform(i)); }, 500,
                      kDiscrete, 10},
        DetectionCase{"HalfOffsets", [](int i) { return std::floor(9 * Uniform(i)) + 0.5; }, 500,
                      kDiscrete, 1},
        DetectionCase{"Quarters", [](int i) { return 0.25 * std::floor(30 * Uniform(i)); }, 500,
                      kDiscrete, 0.25},
        DetectionCase{"StandardisedIntegers",
                      [](int i) { return (std::floor(80 * Uniform(i)) - 41.37) / 22.9; }, 1500,
                      kDiscrete, 1 / 22.9},
        DetectionCase{"IntegersLessTheirMeanInFiveDigits",
                      [](int i) { return Written(std::floor(256 * Uniform(i)) - 69.975, "%.5g"); },
                      40000, kDiscrete, 1},
        DetectionCase{"ZerosAndReals", [](int i) { return Uniform(i) < 0.6 ? 0.0 : Uniform(i, 2); },
                      5000, kContinuous, -1},
        DetectionCase{"LogarithmsOfCounts",
                      [](int i) { return std::log(0.1 + std::floor(30 * Uniform(i))); }, 5000,
                      kContinuous, -1}),
    [](const auto& param_info) { return std::string(param_info.param.what); });

TEST(FitColumnTest, OneValueIsConstant) {
  for (const ColumnType type : {ColumnType::kAuto, kContinuous, kDiscrete}) {
    const Column column = Fitted({0.1, 0.1, 0.1}, {.name = "a", .type = type});
    EXPECT_EQ(column.type, ColumnType::kConstant);
    EXPECT_EQ(column.constant, 0.1);
  }
}

TEST(FitColumnTest, DeclaredTypesAreObeyed) {
  const auto counts = Values(500, [](int i) { return std::floor(20 * Uniform(i)); });
  const Column continuous = Fitted(counts, {.name = "a", .type = kContinuous});
  EXPECT_EQ(continuous.type, kContinuous);
  EXPECT_EQ(continuous.bin_width, 0.0);
  EXPECT_EQ(Fitted({1, 2, 3, 5}, {.name = "a", .type = kDiscrete}).bin_width, 1.0);
  const Column halves = Fitted({1, 2, 3, 5}, {.name = "a", .bin_width = 0.5});
  EXPECT_EQ(halves.type, kDiscrete);
  EXPECT_EQ(halves.bin_width, 0.5);
}

TEST(FitColumnTest, StatisticsSurviveExtremeValues) {
  const Column offset =
      Fitted({1e15, 1e15 + 1, 1e15 + 2, 1e15 + 3}, {.name = "a", .type = kContinuous});
  EXPECT_EQ(offset.mean, 1e15 + 1.5);
  EXPECT_DOUBLE_EQ(offset.deviation, std::sqrt(1.25));
  EXPECT_DOUBLE_EQ(Fitted({-1e149, 1e149}).deviation, 1e149);
  EXPECT_DOUBLE_EQ(Fitted({-1e-140, 1e-140}).deviation, 1e-140);
}

struct BadColumn {
  const char* what;
  ColumnSpec spec;
  std::vector<double> values;
  const char* field;
  std::optional<std::int64_t> row;
};

void PrintTo(const BadColumn& c, std::ostream* out) { *out << c.what; }

class BadColumnTest : public testing::TestWithParam<BadColumn> {};

TEST_P(BadColumnTest, IsInvalidArgumentNamingThePlace) {
  const BadColumn& bad = GetParam();
  absl::Status status = CheckColumnSpec(bad.spec, 3);
  if (status.ok()) status = FitColumn(bad.spec, 3, bad.values, 0.05).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  const ErrorDetail detail = DetailOf(status);
  EXPECT_EQ(detail.field, bad.field);
  EXPECT_EQ(detail.row, bad.row);
  EXPECT_FALSE(detail.expected.empty());
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Columns, BadColumnTest,
    testing::Values(
        BadColumn{"NoName", {.name = ""}, {1, 2}, "columns[3].name", {}},
        BadColumn{"DeclaredConstant",
                  {.name = "a", .type = ColumnType::kConstant},
                  {1, 2},
                  "columns[3].type",
                  {}},
        BadColumn{
            "CrossedBounds", {.name = "a", .lower = 2, .upper = 1}, {1, 2}, "columns[3].lower", {}},
        BadColumn{"InfiniteBound", {.name = "a", .upper = kInf}, {1, 2}, "columns[3].upper", {}},
        BadColumn{"NoWidth", {.name = "a", .bin_width = 0.0}, {1, 2}, "columns[3].bin_width", {}},
        BadColumn{"NanWidth", {.name = "a", .bin_width = kNan}, {1, 2}, "columns[3].bin_width", {}},
        BadColumn{"WidthOfContinuous",
                  {.name = "a", .type = kContinuous, .bin_width = 1.0},
                  {1, 2},
                  "columns[3].bin_width",
                  {}},
        BadColumn{"Nan", {.name = "a"}, {1, 2, kNan}, "rows", 2},
        BadColumn{"Infinity", {.name = "a"}, {1, -kInf}, "rows", 1},
        BadColumn{"Magnitude", {.name = "a"}, {1, 1e300}, "rows", 1},
        BadColumn{"Denormals", {.name = "a"}, {0, 5e-324}, "rows", {}},
        BadColumn{"AtBound", {.name = "a", .lower = 0}, {1, 2, 0}, "rows", 2},
        BadColumn{"OutsideBound", {.name = "a", .upper = 1.5}, {1, 2}, "rows", 1},
        BadColumn{
            "NoLattice", {.name = "a", .type = kDiscrete}, {0, 0.377, 1, 2.2, 5.1}, "rows", {}},
        BadColumn{"OffDeclaredLattice", {.name = "a", .bin_width = 1.0}, {0, 1, 2.4}, "rows", {}},
        BadColumn{"TooFine", {.name = "a", .type = kDiscrete}, {0, 1, 1e9}, "rows", {}}),
    [](const auto& param_info) { return std::string(param_info.param.what); });

}  // namespace
}  // namespace millrace
