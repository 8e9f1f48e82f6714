// SPDX-License-Identifier: Apache-2.0
#include "core/train/training_rows.h"

#include <cstddef>
#include <numeric>
#include <vector>

namespace millrace {

TrainingRows::TrainingRows(ColumnModel columns, const ContextModel& conditions, Split split,
                           Seeds seeds)
    : columns_(std::move(columns)),
      split_(std::move(split)),
      seeds_(seeds),
      rows_(split_.known.rows(), columns_.dim()),
      context_(conditions.ToModel(split_.known_context.view(), 0, split_.known.rows())) {
  const RowsView<const double> fit = split_.fit().rows;
  const RowsView<const double> validation = split_.validation().rows;
  const RowsView<float> validation_rows = rows_.view().Slice(fit.rows, validation.rows);
  fit_log_det_ = BinCentres(fit, FitRows());
  validation_log_det_ = BinCentres(validation, validation_rows);
  columns_.ToTraining(fit, seeds_.fit, 0, FitRows());
  columns_.ToTraining(validation, seeds_.validation, 0, validation_rows);
}

RowsView<const float> TrainingRows::EpochRows(std::int64_t epoch) {
  if (columns_.num_offsets() > 1)
    columns_.ToTraining(split_.fit().rows, seeds_.fit,
                        static_cast<std::uint64_t>(epoch * split_.fit_rows), FitRows());
  return FitRows();
}

// What the flow sees of rows at the centres of their bins; returns the mean log-determinant.
double TrainingRows::BinCentres(RowsView<const double> rows, RowsView<float> out) const {
  std::vector<double> log_det(static_cast<std::size_t>(rows.rows));
  std::vector<std::uint8_t> outside(log_det.size());
  columns_.ToModel(rows, ColumnModel::kBinCentres, out, log_det, outside);
  return std::accumulate(log_det.begin(), log_det.end(), 0.0) / static_cast<double>(rows.rows) +
         columns_.log_unit();
}

}  // namespace millrace
