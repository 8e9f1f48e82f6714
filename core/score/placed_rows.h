// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_SCORE_PLACED_ROWS_H_
#define MILLRACE_CORE_SCORE_PLACED_ROWS_H_

#include <cstdint>

#include "core/base/number_rows.h"
#include "core/base/rows.h"
#include "core/data/column_model.h"
#include "core/data/context_model.h"

namespace millrace {

// A few rows as the flow sees them at every offset of a column model, with the log-determinant of
// each column on its own, and their conditions.
class PlacedRows {
 public:
  // `rows` are the first_row-th and following of those that `context` conditions.
  PlacedRows(const ColumnModel& columns, const ContextModel& conditions, const NumberRows& rows,
             const NumberRows& context, std::int64_t first_row);

  // Where a row at an offset stands in standardised().
  std::int64_t Index(std::int64_t row, int offset) const { return row * offsets_ + offset; }
  RowsView<const float> standardised() const { return standardised_.view(); }
  // One row a row, whatever the offset; no rows without conditions.
  RowsView<const float> context() const { return context_.view(); }

  double LogDet(std::int64_t row, int offset, int i) const {
    return log_dets_(Index(row, offset), i);
  }
  double LogDetOfOthers(std::int64_t row, int offset, int i) const;

 private:
  int offsets_;
  Rows<float> context_;
  Rows<float> standardised_;
  Rows<double> log_dets_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_PLACED_ROWS_H_
