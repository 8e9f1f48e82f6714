// SPDX-License-Identifier: Apache-2.0
#include "core/data/column_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/data/column_transform.h"
#include "core/data/lattice.h"

namespace millrace {
namespace {

constexpr double kLargestMagnitude = 1e150;
constexpr double kSmallestDeviation = 1e-150;
// Finest lattice that is not of integers, in deviations: 256 levels used evenly are a 74th apart.
constexpr double kFinestBin = 1.0 / 80;
constexpr double kTiedWindow = 1.0 / 40;  // of tied columns, in deviations
// Finer bins of integers would be lost in the single precision that the flow computes in.
constexpr double kFinestIntegerBin = 1e-5;
constexpr double kTiedShare = 0.05;
constexpr std::size_t kTiedCount = 8;
constexpr std::size_t kFewValues = 256;
constexpr std::size_t kFewValuesRepeat = 10;
constexpr double kLargestPixel = 255.0;

absl::Status SpecError(int index, absl::string_view field, absl::string_view value,
                       absl::string_view expected) {
  return InvalidArgument(absl::StrCat("columns[", index, "].", field), value, expected);
}

absl::Status ValueError(const ColumnSpec& spec, int index, std::size_t row, double value,
                        absl::string_view expected) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.field = "rows",
                    .row = static_cast<std::int64_t>(row),
                    .column = index,
                    .value = absl::StrCat(value),
                    .expected = absl::StrCat(expected, " in column '", spec.name, "'")});
}

absl::Status ColumnError(const ColumnSpec& spec, int index, absl::string_view value,
                         absl::string_view expected) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.field = "rows",
                    .row = std::nullopt,
                    .column = index,
                    .value = std::string(value),
                    .expected = absl::StrCat(expected, " (column '", spec.name, "')")});
}

absl::Status CheckValues(const ColumnSpec& spec, int index, std::span<const double> values) {
  for (std::size_t r = 0; r < values.size(); ++r) {
    const double v = values[r];
    if (!std::isfinite(v)) return ValueError(spec, index, r, v, "a finite number");
    if (std::abs(v) > kLargestMagnitude)
      return ValueError(spec, index, r, v, "a magnitude of at most 1e150; change the unit");
    if (spec.lower && v <= *spec.lower)
      return ValueError(spec, index, r, v,
                        absl::StrCat("a value above the lower bound ", *spec.lower));
    if (spec.upper && v >= *spec.upper)
      return ValueError(spec, index, r, v,
                        absl::StrCat("a value below the upper bound ", *spec.upper));
  }
  return absl::OkStatus();
}

// What the decisions rest on: the distinct values, ascending, and how often the commonest occurs.
struct Census {
  std::vector<double> distinct;
  std::size_t rows = 0;
  std::size_t commonest = 0;
};

Census Count(std::span<const double> values) {
  Census census{.distinct = {values.begin(), values.end()}, .rows = values.size()};
  std::vector<double>& v = census.distinct;
  std::sort(v.begin(), v.end());
  for (std::size_t begin = 0, end; begin < v.size(); begin = end) {
    for (end = begin + 1; end < v.size() && v[end] == v[begin];) ++end;
    census.commonest = std::max(census.commonest, end - begin);
  }
  v.erase(std::unique(v.begin(), v.end()), v.end());
  return census;
}

struct MeanAndDeviation {
  double mean = 0.0;
  double deviation = 0.0;
};

MeanAndDeviation Measure(std::span<const double> values) {
  const double n = static_cast<double>(values.size());
  double mean = 0.0;
  for (const double v : values) mean += v / n;
  double rest = 0.0;  // what rounding left
  for (const double v : values) rest += (v - mean) / n;
  mean += rest;
  double largest = 0.0;
  for (const double v : values) largest = std::max(largest, std::abs(v - mean));
  if (largest == 0.0) return {mean, 0.0};
  double sum = 0.0;
  for (const double v : values) sum += (v - mean) / largest * ((v - mean) / largest);
  return {mean, largest * std::sqrt(sum / n)};
}

bool IsTied(const Census& census) {
  const auto share = static_cast<std::size_t>(kTiedShare * static_cast<double>(census.rows));
  return census.commonest >= std::max(share, kTiedCount) ||
         (census.distinct.size() <= kFewValues &&
          census.rows >= kFewValuesRepeat * census.distinct.size());
}

std::optional<Lattice> DetectLattice(const Census& census, double deviation) {
  const bool integers = AreIntegers(census.distinct);
  if (census.rows < (integers ? 2 : 4) * census.distinct.size()) return std::nullopt;
  const double finest = (integers ? kFinestIntegerBin : kFinestBin) * deviation;
  const std::optional<Lattice> lattice = FindLattice(census.distinct, finest);
  return lattice && lattice->width >= 0.98 * finest ? lattice : std::nullopt;
}

absl::StatusOr<Lattice> DeclaredLattice(const ColumnSpec& spec, int index, const Census& census,
                                        double deviation) {
  const double finest = kFinestIntegerBin * deviation;
  const std::optional<Lattice> lattice = spec.bin_width
                                             ? FitLattice(census.distinct, *spec.bin_width)
                                             : FindLattice(census.distinct, finest);
  const std::string type = spec.bin_width
                               ? absl::StrCat("a discrete column of bin width ", *spec.bin_width)
                               : std::string("a discrete column");
  if (!lattice)
    return ColumnError(
        spec, index, type,
        "values on one lattice of that width; declare the column continuous, or another "
        "bin_width");
  if (lattice->width < finest)
    return ColumnError(spec, index, absl::StrCat("bins of width ", lattice->width),
                       absl::StrCat("bins of at least 1e-5 of the deviation ", deviation,
                                    "; declare the column continuous"));
  return *lattice;
}

absl::Status ChooseType(const ColumnSpec& spec, int index, const Census& census, Column& column) {
  std::optional<Lattice> lattice;
  const bool declared = spec.type == ColumnType::kDiscrete || spec.bin_width;
  if (declared) {
    MILLRACE_ASSIGN_OR_RETURN(lattice, DeclaredLattice(spec, index, census, column.deviation));
  } else if (spec.type == ColumnType::kAuto) {
    lattice = DetectLattice(census, column.deviation);
    if (!lattice && !spec.lower && !spec.upper && IsTied(census))
      column.bin_width = kTiedWindow * column.deviation;
  }
  if (!lattice) return absl::OkStatus();
  column.type = ColumnType::kDiscrete;
  column.lattice_origin = lattice->origin;
  // A lattice that was only found may be wrong: between its points the density is that of the bin.
  column.lattice_tolerance = declared ? lattice->tolerance : 0.5;
  column.bin_width = lattice->width;
  return absl::OkStatus();
}

// Centre and scale of what the flow sees, over the same positions in their bins for every value.
absl::Status Standardise(const ColumnSpec& spec, int index, std::span<const double> values,
                         Column& column) {
  const int positions = column.bin_width > 0.0 ? kNumOffsets : 1;
  std::vector<double> seen;
  seen.reserve(values.size() * positions);
  for (const double value : values) {
    for (int k = 0; k < positions; ++k)
      seen.push_back(Place(column, value, (k + 0.5) / positions).value);
  }
  const MeanAndDeviation found = Measure(seen);
  column.center = found.mean;
  column.scale = found.deviation;
  if (std::isfinite(column.center) && column.scale >= kSmallestDeviation) return absl::OkStatus();
  return ColumnError(spec, index,
                     absl::StrCat("a deviation of ", found.deviation, " within its bounds"),
                     "values that differ beside their bounds");
}

// As Standardise, each value being placed once, however often it occurs.
absl::Status StandardisePixel(const ColumnSpec& spec, int index, std::span<const double> values,
                              Column& column) {
  std::array<double, static_cast<int>(kLargestPixel) + 1> count = {};
  for (const double value : values) ++count[static_cast<std::size_t>(value)];
  const double all = static_cast<double>(values.size()) * kNumOffsets;
  double sum = 0.0, squares = 0.0;
  const auto for_places = [&](const auto& use) {
    for (std::size_t v = 0; v < count.size(); ++v)
      for (int k = 0; k < kNumOffsets && count[v] > 0.0; ++k)
        use(count[v] / all, Place(column, static_cast<double>(v), (k + 0.5) / kNumOffsets).value);
  };
  for_places([&](double share, double place) { sum += share * place; });
  for_places([&](double share, double place) { squares += share * (place - sum) * (place - sum); });
  column.center = sum;
  column.scale = std::sqrt(squares);
  if (std::isfinite(column.center) && column.scale >= kSmallestDeviation) return absl::OkStatus();
  return ColumnError(spec, index,
                     absl::StrCat("a deviation of ", column.scale, " within its bounds"),
                     "values within bounds below -0.5 and above 255.5");
}

absl::StatusOr<Column> FitPixel(const ColumnSpec& spec, int index, std::span<const double> values,
                                double margin) {
  const double beyond = (kLargestPixel + 1.0) * margin / (1.0 - 2.0 * margin);
  Column column{.name = spec.name,
                .type = ColumnType::kDiscrete,
                .lower = spec.lower.value_or(-0.5 - beyond),
                .upper = spec.upper.value_or(kLargestPixel + 0.5 + beyond),
                .lowest_point = 0.0,
                .highest_point = kLargestPixel,
                .bin_width = 1.0};
  for (std::size_t r = 0; r < values.size(); ++r)
    if (!(values[r] >= 0.0 && values[r] <= kLargestPixel) || values[r] != std::floor(values[r]))
      return ValueError(spec, index, r, values[r], "a pixel, an integer from 0 to 255,");
  column.mean = Measure(values).mean;
  MILLRACE_RETURN_IF_ERROR(StandardisePixel(spec, index, values, column));
  return column;
}

}  // namespace

absl::Status CheckColumnSpec(const ColumnSpec& spec, int index) {
  const auto number = [](double v) { return absl::StrCat(v); };
  if (spec.name.empty()) return SpecError(index, "name", "", "a name that is not empty");
  if (spec.type == ColumnType::kConstant)
    return SpecError(index, "type", "constant",
                     "another type: constant columns are found, not declared");
  if (spec.type == ColumnType::kCategorical)
    return SpecError(index, "type", "categorical", "another type, or a condition");
  for (const auto& [field, bound] :
       {std::pair{"lower", spec.lower}, std::pair{"upper", spec.upper}}) {
    if (bound && !(std::abs(*bound) <= kLargestMagnitude))
      return SpecError(index, field, number(*bound), "a finite number of magnitude at most 1e150");
  }
  if (spec.lower && spec.upper && !(*spec.lower < *spec.upper))
    return SpecError(index, "lower", number(*spec.lower),
                     absl::StrCat("less than the upper bound ", *spec.upper));
  if (!spec.bin_width) return absl::OkStatus();
  if (!(*spec.bin_width > 0.0 && *spec.bin_width <= kLargestMagnitude))
    return SpecError(index, "bin_width", number(*spec.bin_width), "a finite number above 0");
  if (spec.type == ColumnType::kContinuous || spec.type == ColumnType::kPixel)
    return SpecError(index, "bin_width", number(*spec.bin_width),
                     "none on a continuous column, nor on pixels");
  return absl::OkStatus();
}

absl::StatusOr<Column> FitColumn(const ColumnSpec& spec, int index, std::span<const double> values,
                                 double pixel_margin) {
  MILLRACE_RETURN_IF_ERROR(CheckValues(spec, index, values));
  if (spec.type == ColumnType::kPixel) return FitPixel(spec, index, values, pixel_margin);
  const Census census = Count(values);
  Column column{.name = spec.name, .lower = spec.lower, .upper = spec.upper};
  if (census.distinct.size() == 1) {
    column.type = ColumnType::kConstant;
    column.mean = column.constant = census.distinct[0];
    return column;
  }
  const MeanAndDeviation raw = Measure(values);
  if (!(raw.deviation >= kSmallestDeviation))
    return ColumnError(spec, index, absl::StrCat("a deviation of ", raw.deviation),
                       "a deviation of at least 1e-150; change the unit");
  column.mean = raw.mean;
  column.deviation = raw.deviation;
  MILLRACE_RETURN_IF_ERROR(ChooseType(spec, index, census, column));
  MILLRACE_RETURN_IF_ERROR(Standardise(spec, index, values, column));
  return column;
}

}  // namespace millrace
