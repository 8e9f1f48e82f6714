// SPDX-License-Identifier: Apache-2.0
#include "core/data/column_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/data/column_fit.h"
#include "core/data/column_names.h"
#include "core/data/column_transform.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

// A stream of core/math/uniform.h; those of shuffles count up from 1, and 0x80000001 is taken by
// the noise in bins.
constexpr std::uint32_t kPositionStream = 0x80000002;
constexpr std::uint32_t kStratumStream = 0x80000003;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

absl::Status Contradiction(std::size_t index, absl::string_view field, absl::string_view value,
                           absl::string_view expected) {
  return InvalidArgument(absl::StrCat("columns[", index, "].", field), value, expected);
}

// What FitColumn would never return.
absl::Status CheckColumn(const Column& c, std::size_t index) {
  const auto wrong = [index](absl::string_view field, double value, absl::string_view expected) {
    return Contradiction(index, field, absl::StrCat(value), expected);
  };
  const ColumnSpec said{c.name, ColumnType::kAuto, c.lower, c.upper, std::nullopt};
  MILLRACE_RETURN_IF_ERROR(CheckColumnSpec(said, static_cast<int>(index)));
  if (c.type == ColumnType::kAuto || c.type == ColumnType::kCategorical ||
      c.type == ColumnType::kPixel)
    return Contradiction(index, "type",
                         c.type == ColumnType::kAuto    ? "auto"
                         : c.type == ColumnType::kPixel ? "pixel"
                                                        : "categorical",
                         "continuous, discrete or constant");
  for (const auto& [field, value] :
       {std::pair{"mean", c.mean}, std::pair{"lattice_origin", c.lattice_origin},
        std::pair{"center", c.center}, std::pair{"constant", c.constant}}) {
    if (!std::isfinite(value)) return wrong(field, value, "a finite number");
  }
  for (const auto& [field, value] :
       {std::pair{"deviation", c.deviation}, std::pair{"scale", c.scale}}) {
    if (!(value > 0.0 && std::isfinite(value)))
      return wrong(field, value, "a finite number above 0");
  }
  if (!(c.bin_width >= 0.0 && std::isfinite(c.bin_width)))
    return wrong("bin_width", c.bin_width, "a finite number, 0 or above");
  if (c.type != ColumnType::kDiscrete) return absl::OkStatus();
  if (c.bin_width == 0.0) return wrong("bin_width", c.bin_width, "above 0 for a discrete column");
  if (!(c.lattice_tolerance >= 0.0 && c.lattice_tolerance <= 0.5))
    return wrong("lattice_tolerance", c.lattice_tolerance, "0 to 0.5");
  if (c.lowest_point && c.highest_point && !(*c.lowest_point <= *c.highest_point))
    return wrong("lowest_point", *c.lowest_point, "a number, at most highest_point");
  if (c.lowest_point && !(*c.lowest_point < c.upper.value_or(kInfinity)))
    return wrong("lowest_point", *c.lowest_point, "a number below the upper bound");
  if (c.highest_point && !(*c.highest_point > c.lower.value_or(-kInfinity)))
    return wrong("highest_point", *c.highest_point, "a number above the lower bound");
  return absl::OkStatus();
}

// What the logit sees of pixels is this far from 0 and 1 at least: as in Dinh et al. 2017 (section
// 4.1), or, where many are black or white, as in Papamakarios et al. 2017 (section 4.3), so that
// these lie as far from grey as they differ from it.
double PixelMargin(std::span<const ColumnSpec> specs, RowsView<const double> rows) {
  constexpr double kMargin = 0.05, kMarginOfExtremes = 1e-6, kManyExtremes = 0.05;
  std::int64_t pixels = 0, extremes = 0;
  for (int c = 0; c < rows.cols; ++c) {
    if (specs[c].type != ColumnType::kPixel || specs[c].role == ColumnRole::kCondition) continue;
    pixels += rows.rows;
    for (std::int64_t r = 0; r < rows.rows; ++r)
      extremes += rows(r, c) == 0.0 || rows(r, c) == 255.0;
  }
  const bool many = static_cast<double>(extremes) > kManyExtremes * static_cast<double>(pixels);
  return many ? kMarginOfExtremes : kMargin;
}

absl::Status AllConstant(std::size_t columns) {
  return InvalidArgument("rows", absl::StrCat("all ", columns, " columns are constant"),
                         "a column whose values differ");
}

// Gives the columns that are pixels one centre and one scale: those of all their values.
void PoolPixels(std::span<const ColumnSpec> specs, std::vector<Column>& columns) {
  std::vector<Column*> pixels;
  std::size_t next = 0;
  for (const ColumnSpec& spec : specs) {
    if (spec.role == ColumnRole::kCondition) continue;
    Column& column = columns[next++];
    if (spec.type == ColumnType::kPixel) pixels.push_back(&column);
  }
  const double count = static_cast<double>(pixels.size());
  double center = 0.0, variance = 0.0;
  for (const Column* c : pixels) center += c->center / count;
  for (const Column* c : pixels)
    variance += (c->scale * c->scale + (c->center - center) * (c->center - center)) / count;
  for (Column* c : pixels) {
    c->center = center;
    c->scale = std::sqrt(variance);
  }
}

}  // namespace

absl::StatusOr<ColumnModel> ColumnModel::Fit(std::span<const ColumnSpec> specs,
                                             RowsView<const double> rows, std::stop_token stop) {
  if (rows.rows < 2) return InvalidArgument("rows", absl::StrCat(rows.rows, " rows"), "at least 2");
  if (static_cast<std::size_t>(rows.cols) != specs.size())
    return InvalidArgument("columns", absl::StrCat(specs.size(), " columns"),
                           absl::StrCat("one for each of the ", rows.cols, " columns of the rows"));
  ColumnModel model;
  const double pixel_margin = PixelMargin(specs, rows);
  std::vector<double> values(static_cast<std::size_t>(rows.rows));
  bool constant = true;  // so far
  for (int c = 0; c < rows.cols; ++c) {
    if (stop.stop_requested()) return absl::CancelledError("training was cancelled");
    if (specs[c].role == ColumnRole::kCondition) continue;
    MILLRACE_RETURN_IF_ERROR(CheckColumnSpec(specs[c], c));
    for (std::int64_t r = 0; r < rows.rows; ++r) values[r] = rows(r, c);
    constant = constant && std::ranges::all_of(values, [&](double v) { return v == values[0]; });
    MILLRACE_ASSIGN_OR_RETURN(Column column, FitColumn(specs[c], c, values, pixel_margin));
    model.columns_.push_back(std::move(column));
  }
  if (model.columns_.empty() && !specs.empty())
    return InvalidArgument("columns", absl::StrCat("all ", specs.size(), " columns are conditions"),
                           "a column that is no condition");
  if (constant && !model.columns_.empty()) return AllConstant(model.columns_.size());
  PoolPixels(specs, model.columns_);
  MILLRACE_RETURN_IF_ERROR(model.Finish());
  return model;
}

absl::StatusOr<ColumnModel> ColumnModel::FromColumns(std::vector<Column> columns) {
  for (std::size_t i = 0; i < columns.size(); ++i)
    MILLRACE_RETURN_IF_ERROR(CheckColumn(columns[i], i));
  ColumnModel model;
  model.columns_ = std::move(columns);
  MILLRACE_RETURN_IF_ERROR(model.Finish());
  return model;
}

absl::Status ColumnModel::Finish() {
  std::unordered_set<std::string> names;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    if (!names.insert(column.name).second)
      return Contradiction(i, "name", column.name, "a name that no other column has");
    if (column.type == ColumnType::kConstant) continue;
    active_.push_back(static_cast<int>(i));
    plain_log_dets_.push_back(PlainColumns::IsPlain(column)
                                  ? -std::log(column.scale)
                                  : std::numeric_limits<double>::quiet_NaN());
    plain_log_det_ += plain_log_dets_.back();
    if (column.bin_width > 0.0) num_offsets_ = kNumOffsets;
    log_unit_ += std::log(column.deviation);
  }
  if (active_.empty()) return AllConstant(columns_.size());
  plain_ = PlainColumns(columns_);
  positions_.resize(active_.size() * num_offsets_);
  for (std::size_t i = 0; i < active_.size(); ++i) {
    const std::span<double> positions(positions_.data() + i * num_offsets_, num_offsets_);
    const Column& column = columns_[active_[i]];
    const bool pixel = column.lowest_point && column.highest_point;
    for (int k = 0; k < num_offsets_; ++k)
      positions[k] = (k + (pixel ? UniformAt(i, kStratumStream, k, 0) : 0.5)) / num_offsets_;
    if (i > 0) Shuffle(positions, positions.size(), i, kPositionStream);
  }
  return absl::OkStatus();
}

double ColumnModel::Position(int i, int offset) const {
  return offset == kBinCentres ? kBinCentre
                               : positions_[static_cast<std::size_t>(i) * num_offsets_ + offset];
}

absl::StatusOr<std::vector<int>> ColumnModel::MatchColumns(
    std::span<const std::string> names) const {
  std::vector<std::string> own;
  for (const Column& column : columns_) own.push_back(column.name);
  return MatchNames(own, names, "column_names");
}

absl::Status ColumnModel::CheckShape(const NumberRows& rows) const {
  if (rows.rows < 1) return InvalidArgument("rows", absl::StrCat(rows.rows, " rows"), "at least 1");
  if (rows.cols == num_columns()) return absl::OkStatus();
  return InvalidArgument("rows", absl::StrCat(rows.cols, " columns"),
                         absl::StrCat(num_columns(), " columns, as the model has"));
}

absl::Status ColumnModel::CheckRow(const NumberRows& rows, std::int64_t r,
                                   std::int64_t name) const {
  std::optional<int> first;  // as it stands in the row
  for (int c = 0; c < rows.cols; ++c) {
    if (!std::isfinite(rows(r, c)) && (!first || rows.PlaceOf(c) < rows.PlaceOf(*first))) first = c;
  }
  if (!first) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.field = "rows",
                    .row = name,
                    .column = rows.PlaceOf(*first),
                    .value = absl::StrCat(rows(r, *first)),
                    .expected = absl::StrCat("a finite number in column '",
                                             PrintableValue(columns_[*first].name), "'")});
}

}  // namespace millrace
