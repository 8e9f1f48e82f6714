// SPDX-License-Identifier: Apache-2.0
#include "core/score/placed_rows.h"

#include "core/data/column_transform.h"

namespace millrace {

PlacedRows::PlacedRows(const ColumnModel& columns, const ContextModel& conditions,
                       const NumberRows& rows, const NumberRows& context, std::int64_t first_row)
    : offsets_(columns.num_offsets()),
      context_(conditions.ToModel(context, first_row, rows.rows)),
      standardised_(rows.rows * offsets_, columns.dim()),
      log_dets_(rows.rows * offsets_, columns.dim()) {
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (int k = 0; k < offsets_; ++k) {
      for (int i = 0; i < columns.dim(); ++i) {
        const int c = columns.active()[i];
        const ModelValue value = ToModel(columns.columns()[c], rows(r, c), columns.Position(i, k));
        standardised_(Index(r, k), i) = static_cast<float>(value.standardised);
        log_dets_(Index(r, k), i) = value.log_det;
      }
    }
  }
}

double PlacedRows::LogDetOfOthers(std::int64_t row, int offset, int i) const {
  double sum = 0.0;
  for (int j = 0; j < log_dets_.cols(); ++j) {
    if (j != i) sum += LogDet(row, offset, j);
  }
  return sum;
}

}  // namespace millrace
