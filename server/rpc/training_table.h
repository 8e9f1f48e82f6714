// SPDX-License-Identifier: Apache-2.0
// The table of one Train call, as its chunks come in. Memory is bounded by the server's limits.
#ifndef MILLRACE_SERVER_RPC_TRAINING_TABLE_H_
#define MILLRACE_SERVER_RPC_TRAINING_TABLE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "millrace/v1/matrix.pb.h"
#include "server/app/config.h"

namespace millrace {

class TrainingTable {
 public:
  // `limits` outlives the table.
  explicit TrainingTable(const Limits& limits) : limits_(limits) {}

  // Appends a chunk. INVALID_ARGUMENT (field "chunk", row counted over all chunks) for a malformed
  // matrix, a width other than the first chunk's, or a number that is not finite;
  // RESOURCE_EXHAUSTED beyond max_train_rows, max_train_bytes or max_columns.
  absl::Status Append(const v1::Matrix& chunk);

  std::int64_t rows() const { return rows_; }
  int cols() const { return cols_; }
  // Row-major [rows, cols]; leaves the table empty.
  std::vector<double> TakeValues() { return std::move(values_); }

 private:
  const Limits& limits_;
  std::vector<double> values_;
  std::int64_t rows_ = 0;
  int cols_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_TRAINING_TABLE_H_
