// SPDX-License-Identifier: Apache-2.0
// Which rows a training fits, stops by and calibrates with.
#ifndef MILLRACE_CORE_TRAIN_SPLIT_H_
#define MILLRACE_CORE_TRAIN_SPLIT_H_

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "core/base/conditioned_rows.h"
#include "core/base/rows.h"
#include "core/train/choices.h"

namespace millrace {

struct Split {
  Rows<double> known;          // features of the rows to fit, then of those of validation
  Rows<double> known_context;  // their conditions; no rows without
  std::int64_t fit_rows = 0;   // >= 2
  Rows<double> held_out;  // features of calibration, >= 1 row, not fitted to and not for stopping
  Rows<double> held_out_context;

  ConditionedRows<const double> all_known() const { return {known.view(), known_context.view()}; }
  ConditionedRows<const double> fit() const { return all_known().Slice(0, fit_rows); }
  ConditionedRows<const double> validation() const {
    return all_known().Slice(fit_rows, known.rows() - fit_rows);
  }
  ConditionedRows<const double> calibration() const {
    return {held_out.view(), held_out_context.view()};
  }
};

// Copies of a table's rows in an order of their own for every seed, and divided. Columns at the
// position of a condition are context, all others features. INVALID_ARGUMENT where fewer than two
// rows are left to fit.
absl::StatusOr<Split> SplitRows(RowsView<const double> rows, std::span<const Condition> conditions,
                                const HeldOutRows& sizes, std::uint64_t seed);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_SPLIT_H_
