// SPDX-License-Identifier: Apache-2.0
#include "core/train/training_rows.h"

#include <cstddef>
#include <cstdint>
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
  fit_log_det_ = columns_.ToTraining(fit, seeds_.fit, 0, FitRows()) + columns_.log_unit();
  validation_log_det_ =
      columns_.ToTraining(validation, seeds_.validation, 0, validation_rows) + columns_.log_unit();
}

RowsView<const float> TrainingRows::EpochRows(std::int64_t epoch) {
  if (columns_.num_offsets() > 1)
    fit_log_det_ =
        columns_.ToTraining(split_.fit().rows, seeds_.fit,
                            static_cast<std::uint64_t>(epoch * split_.fit_rows), FitRows()) +
        columns_.log_unit();
  return FitRows();
}

void TrainingRows::MoveToBinCentres() {
  const RowsView<const double> rows = split_.all_known().rows;
  std::vector<double> log_det(static_cast<std::size_t>(rows.rows));
  std::vector<std::uint8_t> outside(log_det.size());
  columns_.ToModel(rows, ColumnModel::kBinCentres, rows_.view(), log_det, outside);
}

}  // namespace millrace
