// SPDX-License-Identifier: Apache-2.0
// Which rows a training fits, stops by and calibrates with.
#ifndef MILLRACE_CORE_TRAIN_SPLIT_H_
#define MILLRACE_CORE_TRAIN_SPLIT_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "core/base/rows.h"
#include "core/train/train_model.h"

namespace millrace {

struct Split {
  Rows<double> known;         // the rows to fit, then those of validation
  std::int64_t fit_rows = 0;  // >= 2
  Rows<double> calibration;   // >= 1 row, not fitted to and not for stopping

  RowsView<const double> fit() const { return known.view().Slice(0, fit_rows); }
  RowsView<const double> validation() const {
    return known.view().Slice(fit_rows, known.rows() - fit_rows);
  }
};

// Copies of the rows in an order of their own for every seed, divided by the options' fractions: at
// least one row each. INVALID_ARGUMENT where fewer than two are left to fit.
absl::StatusOr<Split> SplitRows(RowsView<const double> rows, const TrainOptions& options,
                                std::uint64_t seed);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_SPLIT_H_
