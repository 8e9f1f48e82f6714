// SPDX-License-Identifier: Apache-2.0
#include "core/data/column_model.h"

#include <cmath>
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

// Streams of core/math/uniform.h; those of shuffles count up from 1.
constexpr std::uint32_t kNoiseStream = 0x80000001;
constexpr std::uint32_t kPositionStream = 0x80000002;

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
  if (c.type == ColumnType::kAuto || c.type == ColumnType::kCategorical)
    return Contradiction(index, "type", c.type == ColumnType::kAuto ? "auto" : "categorical",
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
  return absl::OkStatus();
}

// Equal, or equal once rounded to single precision on its way.
bool IsConstant(const Column& column, double value) {
  return value == column.constant ||
         value == static_cast<double>(static_cast<float>(column.constant));
}

}  // namespace

absl::StatusOr<ColumnModel> ColumnModel::Fit(std::span<const ColumnSpec> specs,
                                             RowsView<const double> rows, std::stop_token stop) {
  if (rows.rows < 2) return InvalidArgument("rows", absl::StrCat(rows.rows, " rows"), "at least 2");
  if (static_cast<std::size_t>(rows.cols) != specs.size())
    return InvalidArgument("columns", absl::StrCat(specs.size(), " columns"),
                           absl::StrCat("one for each of the ", rows.cols, " columns of the rows"));
  ColumnModel model;
  std::vector<double> values(static_cast<std::size_t>(rows.rows));
  for (int c = 0; c < rows.cols; ++c) {
    if (stop.stop_requested()) return absl::CancelledError("training was cancelled");
    if (specs[c].role == ColumnRole::kCondition) continue;
    MILLRACE_RETURN_IF_ERROR(CheckColumnSpec(specs[c], c));
    for (std::int64_t r = 0; r < rows.rows; ++r) values[r] = rows(r, c);
    MILLRACE_ASSIGN_OR_RETURN(Column column, FitColumn(specs[c], c, values));
    model.columns_.push_back(std::move(column));
  }
  if (model.columns_.empty() && !specs.empty())
    return InvalidArgument("columns", absl::StrCat("all ", specs.size(), " columns are conditions"),
                           "a column that is no condition");
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
    if (column.bin_width > 0.0) num_offsets_ = kNumOffsets;
    log_unit_ += std::log(column.deviation);
  }
  if (active_.empty())
    return InvalidArgument("rows", absl::StrCat("all ", columns_.size(), " columns are constant"),
                           "a column whose values differ");
  positions_.resize(active_.size() * num_offsets_);
  for (std::size_t i = 0; i < active_.size(); ++i) {
    const std::span<double> positions(positions_.data() + i * num_offsets_, num_offsets_);
    for (int k = 0; k < num_offsets_; ++k) positions[k] = (k + 0.5) / num_offsets_;
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

absl::Status ColumnModel::CheckRows(RowsView<const double> rows) const {
  if (rows.rows < 1) return InvalidArgument("rows", absl::StrCat(rows.rows, " rows"), "at least 1");
  if (rows.cols != num_columns())
    return InvalidArgument("rows", absl::StrCat(rows.cols, " columns"),
                           absl::StrCat(num_columns(), " columns, as the model has"));
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (int c = 0; c < rows.cols; ++c) {
      if (!std::isfinite(rows(r, c)))
        return MakeError(absl::StatusCode::kInvalidArgument,
                         {.field = "rows",
                          .row = r,
                          .column = c,
                          .value = absl::StrCat(rows(r, c)),
                          .expected = absl::StrCat("a finite number in column '",
                                                   PrintableValue(columns_[c].name), "'")});
    }
  }
  return absl::OkStatus();
}

void ColumnModel::ToTraining(RowsView<const double> rows, std::uint64_t seed,
                             std::uint64_t first_row, RowsView<float> out) const {
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (int i = 0; i < dim(); ++i) {
      const int c = active_[i];
      const double position =
          columns_[c].bin_width > 0.0
              ? UniformAt(seed, kNoiseStream, first_row + static_cast<std::uint64_t>(r), c)
              : kBinCentre;
      out(r, i) =
          static_cast<float>(millrace::ToModel(columns_[c], rows(r, c), position).standardised);
    }
  }
}

void ColumnModel::ToModel(RowsView<const double> rows, int offset, RowsView<float> out,
                          std::span<double> log_det, std::span<std::uint8_t> out_of_support) const {
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    log_det[r] = 0.0;
    out_of_support[r] = 0;
    for (int i = 0; i < dim(); ++i) {
      const ModelValue value =
          millrace::ToModel(columns_[active_[i]], rows(r, active_[i]), Position(i, offset));
      out(r, i) = static_cast<float>(value.standardised);
      log_det[r] += value.log_det;
      if (!value.in_support) out_of_support[r] = 1;
    }
    for (int c = 0; c < num_columns(); ++c) {
      if (columns_[c].type == ColumnType::kConstant && !IsConstant(columns_[c], rows(r, c)))
        out_of_support[r] = 1;
    }
  }
}

void ColumnModel::FromModel(RowsView<const float> standardised, RowsView<double> out) const {
  for (std::int64_t r = 0; r < standardised.rows; ++r) {
    for (int c = 0, i = 0; c < num_columns(); ++c) {
      out(r, c) = columns_[c].type == ColumnType::kConstant
                      ? columns_[c].constant
                      : millrace::FromModel(columns_[c], standardised(r, i++));
    }
  }
}

}  // namespace millrace
