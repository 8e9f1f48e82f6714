// SPDX-License-Identifier: Apache-2.0
// Rows x with the conditions c under which they are looked at, in p(x | c).
#ifndef MILLRACE_CORE_BASE_CONDITIONED_ROWS_H_
#define MILLRACE_CORE_BASE_CONDITIONED_ROWS_H_

#include <cstdint>

#include "core/base/rows.h"

namespace millrace {

// One row of context for each row, or no rows of context.
template <typename T>
struct ConditionedRows {
  RowsView<T> rows;
  RowsView<T> context;

  ConditionedRows Slice(std::int64_t begin, std::int64_t count) const {
    return {rows.Slice(begin, count),
            context.rows == 0 ? RowsView<T>{} : context.Slice(begin, count)};
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_BASE_CONDITIONED_ROWS_H_
