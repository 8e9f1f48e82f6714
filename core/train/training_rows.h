// SPDX-License-Identifier: Apache-2.0
// The rows of a training as the flow sees them.
#ifndef MILLRACE_CORE_TRAIN_TRAINING_ROWS_H_
#define MILLRACE_CORE_TRAIN_TRAINING_ROWS_H_

#include <cstdint>
#include <utility>

#include "core/base/conditioned_rows.h"
#include "core/base/rows.h"
#include "core/data/column_model.h"
#include "core/data/context_model.h"
#include "core/train/split.h"

namespace millrace {

// A split, and its known rows standardised beside their contexts. Not thread-safe.
class TrainingRows {
 public:
  struct Seeds {
    std::uint64_t fit = 0;  // of the noise in bins
    std::uint64_t validation = 0;
  };
  // `columns` and `conditions` were fitted to the table that was split. At first there is noise in
  // bins.
  TrainingRows(ColumnModel columns, const ContextModel& conditions, Split split, Seeds seeds);

  const Split& split() const { return split_; }

  ConditionedRows<const float> known() const { return {rows_.view(), context_.view()}; }
  ConditionedRows<const float> fit() const { return known().Slice(0, split_.fit_rows); }
  ConditionedRows<const float> validation() const {
    return known().Slice(split_.fit_rows, rows_.rows() - split_.fit_rows);
  }

  // The rows to fit, with fresh noise in their bins every epoch.
  RowsView<const float> EpochRows(std::int64_t epoch);
  // From here on known rows stand at the centres of their bins.
  void MoveToBinCentres();

  // Mean log|d value, as the flow sees it / d standardised value|, of the rows as they stand.
  double fit_log_det() const { return fit_log_det_; }
  double validation_log_det() const { return validation_log_det_; }

 private:
  RowsView<float> FitRows() { return rows_.view().Slice(0, split_.fit_rows); }

  ColumnModel columns_;
  Split split_;
  Seeds seeds_;
  Rows<float> rows_, context_;  // of split_.known
  double fit_log_det_ = 0.0, validation_log_det_ = 0.0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_TRAINING_ROWS_H_
