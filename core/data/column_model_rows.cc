// SPDX-License-Identifier: Apache-2.0
// Rows through a column model.
#include <algorithm>
#include <array>
#include <cmath>

#include "core/data/column_model.h"
#include "core/data/column_transform.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

// A stream of core/math/uniform.h; see core/data/column_model.cc.
constexpr std::uint32_t kNoiseStream = 0x80000001;

// Numbers of a row that are worked on at a time.
constexpr int kTile = 64;

// Equal, or equal once rounded to single precision on its way.
bool IsConstant(const Column& column, double value) {
  return value == column.constant ||
         value == static_cast<double>(static_cast<float>(column.constant));
}

}  // namespace

double ColumnModel::ToTraining(RowsView<const double> rows, std::uint64_t seed,
                               std::uint64_t first_row, RowsView<float> out) const {
  double log_det = 0.0;
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (int i = 0; i < dim(); ++i) {
      const int c = active_[i];
      const double position =
          columns_[c].bin_width > 0.0
              ? UniformAt(seed, kNoiseStream, first_row + static_cast<std::uint64_t>(r), c)
              : kBinCentre;
      const ModelValue value = millrace::ToModel(columns_[c], rows(r, c), position);
      out(r, i) = static_cast<float>(value.standardised);
      log_det += value.log_det;
    }
  }
  return log_det / static_cast<double>(rows.rows);
}

// Active columns as PlainColumns has them, and what it says of the row.
bool ColumnModel::PlainToModel(const NumberRows& rows, std::int64_t r, std::span<float> out) const {
  const bool all_active = dim() == num_columns();
  std::array<double, kTile> values;
  std::array<float, kTile> tile;
  float* next = out.data();
  bool near = true;
  for (int begin = 0; begin < num_columns(); begin += kTile) {
    const int count = std::min(kTile, num_columns() - begin);
    const std::span<double> given(values.data(), static_cast<std::size_t>(count));
    rows.Read(r, begin, given);
    near = plain_.ToModel(begin, given, all_active ? next : tile.data()) && near;
    if (all_active) {
      next += count;
    } else {
      for (int c = 0; c < count; ++c)
        if (columns_[begin + c].type != ColumnType::kConstant) *next++ = tile[c];
    }
  }
  return near;
}

ColumnModel::PlacedRow ColumnModel::RowToModel(const NumberRows& rows, std::int64_t r, int offset,
                                               std::span<float> out) const {
  const bool near = PlainToModel(rows, r, out);
  PlacedRow placed{.log_det = plain_log_det_};
  if (dim() < num_columns()) {
    for (int c = 0; c < num_columns(); ++c) {
      if (columns_[c].type == ColumnType::kConstant && !IsConstant(columns_[c], rows(r, c)))
        placed.in_support = false;
    }
  }
  if (near && all_plain()) return placed;
  placed.log_det = 0.0;
  for (int i = 0; i < dim(); ++i) {
    if (near && is_plain(i)) {
      placed.log_det += plain_log_dets_[i];
      continue;
    }
    const ModelValue value =
        millrace::ToModel(columns_[active_[i]], rows(r, active_[i]), Position(i, offset));
    out[i] = static_cast<float>(value.standardised);
    placed.log_det += value.log_det;
    placed.in_support = placed.in_support && value.in_support;
  }
  if (!near) {
    for (int c = 0; c < num_columns(); ++c)
      placed.finite = placed.finite && std::isfinite(rows(r, c));
  }
  return placed;
}

std::int64_t ColumnModel::ToModel(const NumberRows& rows, int offset, RowsView<float> out,
                                  std::span<double> log_det,
                                  std::span<std::uint8_t> out_of_support) const {
  std::int64_t first_bad = rows.rows;
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    const PlacedRow placed = RowToModel(rows, r, offset, out.row(r));
    log_det[r] = placed.log_det;
    out_of_support[r] = placed.in_support ? 0 : 1;
    if (!placed.finite) first_bad = std::min(first_bad, r);
  }
  return first_bad;
}

std::int64_t ColumnModel::ToModelAtOffsets(const NumberRows& rows, RowsView<float> out,
                                           std::span<double> log_det,
                                           std::span<std::uint8_t> out_of_support) const {
  if (num_offsets_ == 1) return ToModel(rows, 0, out, log_det, out_of_support);
  std::int64_t first_bad = rows.rows;
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (int k = 0; k < num_offsets_; ++k) {
      const std::int64_t place = r * num_offsets_ + k;
      const PlacedRow placed = RowToModel(rows, r, k, out.row(place));
      log_det[place] = placed.log_det;
      out_of_support[r] = placed.in_support ? 0 : 1;  // the same at all offsets
      if (!placed.finite) first_bad = std::min(first_bad, r);
    }
  }
  return first_bad;
}

// All columns as PlainColumns has them, 0 for the float of a constant one.
bool ColumnModel::PlainFromModel(std::span<const float> standardised, std::span<double> out) const {
  if (dim() == num_columns()) return plain_.FromModel(0, standardised, out.data());
  std::array<float, kTile> tile;
  const float* next = standardised.data();
  bool near = true;
  for (int begin = 0; begin < num_columns(); begin += kTile) {
    const int count = std::min(kTile, num_columns() - begin);
    for (int c = 0; c < count; ++c)
      tile[c] = columns_[begin + c].type == ColumnType::kConstant ? 0.0f : *next++;
    near = plain_.FromModel(begin, {tile.data(), static_cast<std::size_t>(count)},
                            out.data() + begin) &&
           near;
  }
  return near;
}

void ColumnModel::FromModel(RowsView<const float> standardised, RowsView<double> out) const {
  for (std::int64_t r = 0; r < standardised.rows; ++r) {
    const bool near = PlainFromModel(standardised.row(r), out.row(r));
    if (near && all_plain() && dim() == num_columns()) continue;
    for (int c = 0, i = 0; c < num_columns(); ++c) {
      if (columns_[c].type == ColumnType::kConstant) {
        out(r, c) = columns_[c].constant;
        continue;
      }
      if (!near || !is_plain(i)) out(r, c) = millrace::FromModel(columns_[c], standardised(r, i));
      ++i;
    }
  }
}

}  // namespace millrace
