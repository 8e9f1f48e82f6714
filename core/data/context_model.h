// SPDX-License-Identifier: Apache-2.0
// How a user's conditions c of a density p(x | c) become the context that a flow sees.
#ifndef MILLRACE_CORE_DATA_CONTEXT_MODEL_H_
#define MILLRACE_CORE_DATA_CONTEXT_MODEL_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/number_rows.h"
#include "core/base/rows.h"
#include "core/data/column.h"
#include "core/data/column_model.h"

namespace millrace {

// A fitted condition: a number, which the flow sees as (value - mean) / deviation, or a class
// label, which it sees one-hot.
struct Condition {
  std::string name = {};
  int position = 0;  // column of the training table, features among them, from 0
  double mean = 0.0;
  double deviation = 0.0;               // 0: the table had one value, and the flow sees 0
  std::vector<double> categories = {};  // of a class label, ascending; empty for a number

  bool is_categorical() const { return !categories.empty(); }
  friend bool operator==(const Condition&, const Condition&) = default;
};

// Immutable after Fit or FromConditions; thread-safe. Without conditions everything is empty.
//
// A context is [rows, num_columns()], one row for each row it conditions, or [1, num_columns()],
// which stands for all of them; without conditions it has no rows.
class ContextModel {
 public:
  static constexpr int kMaxCategories = 1000;
  // Numbers further from the mean, in deviations, count as if they lay there: what a network says
  // of a condition however far from all it was shown stays finite.
  static constexpr double kFarthest = 100.0;

  ContextModel() = default;  // no conditions

  // Learns the conditions among the columns of rows [n >= 1, specs.size()], whose other columns are
  // `features`. Statistics in double. Held-out rows belong into the fit as well, or a category that
  // only they hold would be unknown. INVALID_ARGUMENT with field, row, column and value for a
  // condition that is discrete or has bounds or bins, a name that is empty or taken, values that
  // are not finite or beyond 1e150, deviations below 1e-150 and more than kMaxCategories.
  static absl::StatusOr<ContextModel> Fit(std::span<const ColumnSpec> specs,
                                          RowsView<const double> rows, const ColumnModel& features);
  // From a model file. INVALID_ARGUMENT when the values contradict each other or `features`.
  static absl::StatusOr<ContextModel> FromConditions(std::vector<Condition> conditions,
                                                     const ColumnModel& features);

  std::span<const Condition> conditions() const { return conditions_; }
  int num_columns() const { return static_cast<int>(conditions_.size()); }
  // Columns of what the flow sees: one for a number, one for each category of a class label.
  int dim() const { return dim_; }

  // The order of the user's columns, as ColumnModel::MatchColumns; the field of errors is
  // "context_column_names".
  absl::StatusOr<std::vector<int>> MatchColumns(std::span<const std::string> names) const;

  // INVALID_ARGUMENT with field "context", row, column and value unless it is the context of `rows`
  // rows: of the right shape, finite, of known categories.
  absl::Status Check(const NumberRows& context, std::int64_t rows) const;
  // The parts of it: the shape, and row r of a context of that shape. Rows and columns are named as
  // they stand.
  absl::Status CheckShape(const NumberRows& context, std::int64_t rows) const;
  absl::Status CheckRow(const NumberRows& context, std::int64_t r) const;

  // What the flow sees of row r of a context of the right shape, [dim()], all within [-kFarthest,
  // kFarthest]. False where CheckRow refuses the row; `out` has then no meaning, but is finite.
  bool RowToModel(const NumberRows& context, std::int64_t r, std::span<float> out) const;
  // The same of a checked context for rows [first, first + count), [count, dim()]; no rows without
  // conditions.
  Rows<float> ToModel(const NumberRows& context, std::int64_t first, std::int64_t count) const;

  friend bool operator==(const ContextModel&, const ContextModel&) = default;

 private:
  std::vector<Condition> conditions_;
  int dim_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_DATA_CONTEXT_MODEL_H_
