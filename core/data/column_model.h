// SPDX-License-Identifier: Apache-2.0
// How a user's columns become the standardised floats a flow is trained on, and back. Part of the
// density: log-densities are in nats of the user's own units because its log-determinants count.
#ifndef MILLRACE_CORE_DATA_COLUMN_MODEL_H_
#define MILLRACE_CORE_DATA_COLUMN_MODEL_H_

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/number_rows.h"
#include "core/base/rows.h"
#include "core/data/column.h"
#include "core/data/plain_columns.h"

namespace millrace {

// Immutable after Fit or FromColumns; thread-safe. Rows and columns are counted from 0.
//
// A column with bins (see Column) is trained with uniform noise inside them and scored at the mean
// density over num_offsets() fixed positions, the same for every row. The positions are a Latin
// hypercube: each column visits (k + 1/2) / num_offsets(), k = 0, 1, ..., in an order of its own.
// Pixels stand at (k + u) / num_offsets(), u uniform, fixed for each column and k: there are many of
// them, and centres, which are never near a bin's ends, would make rows more likely than they are.
class ColumnModel {
 public:
  // As an offset: the centre of every bin.
  static constexpr int kBinCentres = -1;

  ColumnModel() = default;  // no columns

  // Learns types, bounds' transforms and scales from rows [n, specs.size()], n >= 2; conditions are
  // passed over (core/data/context_model.h has them). Statistics in double. How a column is typed:
  // FitColumn in core/data/column_fit.h. Held-out rows belong into the fit as well, or a discrete
  // value that only they hold may lie off a declared lattice. INVALID_ARGUMENT with row, column and
  // value for non-finite values, values at or outside declared bounds, a contradictory spec,
  // duplicate names, or when every column is constant or a condition; CANCELLED within a column of
  // `stop`.
  static absl::StatusOr<ColumnModel> Fit(std::span<const ColumnSpec> specs,
                                         RowsView<const double> rows, std::stop_token stop = {});
  // From a model file. INVALID_ARGUMENT when the values contradict each other.
  static absl::StatusOr<ColumnModel> FromColumns(std::vector<Column> columns);

  std::span<const Column> columns() const { return columns_; }
  int num_columns() const { return static_cast<int>(columns_.size()); }
  // Columns of the density (those not constant), as indices of columns(), ascending.
  std::span<const int> active() const { return active_; }
  int dim() const { return static_cast<int>(active_.size()); }
  // Fixed offsets a row is scored at and its density averaged over: 1 without columns with bins.
  int num_offsets() const { return num_offsets_; }
  // Where in its bins active column `i` stands at an offset, in (0, 1).
  double Position(int i, int offset) const;
  // Sum of log(deviation) over active columns: standardised nats = user's nats + this.
  double log_unit() const { return log_unit_; }

  // The order of the user's columns: result[j] is where column j of the model stands in `names`.
  // INVALID_ARGUMENT for a missing, duplicate or unknown name. Empty `names`: columns are in order.
  absl::StatusOr<std::vector<int>> MatchColumns(std::span<const std::string> names) const;

  // INVALID_ARGUMENT unless rows is [n >= 1, num_columns()].
  absl::Status CheckShape(const NumberRows& rows) const;
  // INVALID_ARGUMENT naming row `name`, and column and value as they stand there, unless the
  // numbers of row r are finite.
  absl::Status CheckRow(const NumberRows& rows, std::int64_t r, std::int64_t name) const;
  absl::Status CheckRow(const NumberRows& rows, std::int64_t r) const {
    return CheckRow(rows, r, r);
  }

  // Standardised rows for training, [n, dim()]: columns with bins get uniform noise that depends on
  // (seed, first_row + r, column) only. Rows are those of Fit; a value out of support becomes 0.
  // Returns the mean over rows of log|d out / d value| summed over active columns.
  double ToTraining(RowsView<const double> rows, std::uint64_t seed, std::uint64_t first_row,
                    RowsView<float> out) const;
  // Standardised rows at an offset in [0, num_offsets()) or kBinCentres. log_det[r] is
  // log|d out / d value| summed over active columns; out_of_support[r] is 1 where a constant column
  // has another value, a bounded one lies outside, or a value lies off a declared lattice (out[r]
  // is then finite, without meaning). Beyond 1e6 standardised units the map goes on as a logarithm,
  // its slope part of log_det. Returns the first row that holds a number that is not finite, which
  // counts as out of support; rows.rows where there is none.
  std::int64_t ToModel(const NumberRows& rows, int offset, RowsView<float> out,
                       std::span<double> log_det, std::span<std::uint8_t> out_of_support) const;
  // The same at all offsets: row r at offset k is row r * num_offsets() + k of `out` and log_det.
  std::int64_t ToModelAtOffsets(const NumberRows& rows, RowsView<float> out,
                                std::span<double> log_det,
                                std::span<std::uint8_t> out_of_support) const;
  // Back to the user's units, [n, num_columns()]: constants filled in, discrete columns returned to
  // their lattice, bounded ones inside their bounds. All finite where `standardised` is not NaN.
  void FromModel(RowsView<const float> standardised, RowsView<double> out) const;

 private:
  struct PlacedRow {
    bool finite = true;
    bool in_support = true;
    double log_det = 0.0;
  };

  absl::Status Finish();
  bool is_plain(int i) const { return !std::isnan(plain_log_dets_[i]); }
  bool all_plain() const { return !std::isnan(plain_log_det_); }
  PlacedRow RowToModel(const NumberRows& rows, std::int64_t r, int offset,
                       std::span<float> out) const;
  bool PlainToModel(const NumberRows& rows, std::int64_t r, std::span<float> out) const;
  bool PlainFromModel(std::span<const float> standardised, std::span<double> out) const;

  std::vector<Column> columns_;
  std::vector<int> active_;
  PlainColumns plain_;
  std::vector<double> plain_log_dets_;  // [dim]: of rows near the data, of plain columns; else NaN
  double plain_log_det_ = 0.0;          // their sum; NaN where a column is not plain
  std::vector<double> positions_;       // [dim, num_offsets]
  int num_offsets_ = 1;
  double log_unit_ = 0.0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_DATA_COLUMN_MODEL_H_
