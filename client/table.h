// SPDX-License-Identifier: Apache-2.0
// A table of numbers as a caller has it.
#ifndef MILLRACE_CLIENT_TABLE_H_
#define MILLRACE_CLIENT_TABLE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace millrace::client {

// Dense, row-major, in the user's own units: element (r, c) is values[r * cols + c]. A value type.
// Invariants, checked wherever a table is passed in (INVALID_ARGUMENT): values.size() == rows *
// cols, and column_names is empty or has cols entries.
struct Table {
  std::vector<std::string> column_names;  // empty: columns are known by position
  std::int64_t rows = 0;
  int cols = 0;
  std::vector<double> values;

  double operator()(std::int64_t r, int c) const { return values[r * cols + c]; }
  std::span<const double> row(std::int64_t r) const {
    return {values.data() + r * cols, static_cast<std::size_t>(cols)};
  }
};

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_TABLE_H_
