// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/training_table.h"

#include <span>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "server/rpc/matrix.h"

namespace millrace {
namespace {

absl::Status TableTooLarge(std::int64_t value, absl::string_view unit, std::int64_t limit,
                           absl::string_view flag) {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      {.field = "chunk",
       .value = absl::StrCat(value, " ", unit),
       .expected = absl::StrCat("a table of at most ", limit, " ", unit, " (--", flag, ")")});
}

}  // namespace

absl::Status TrainingTable::Append(const v1::Matrix& chunk) {
  MILLRACE_RETURN_IF_ERROR(
      CheckMatrix(chunk, "chunk", limits_.max_train_rows, "max_train_rows", limits_));
  const auto cols = static_cast<int>(chunk.cols());
  if (rows_ > 0 && cols != cols_) {
    return InvalidArgument("chunk.cols", absl::StrCat(cols),
                           absl::StrCat(cols_, " columns, as the first chunk has"));
  }
  const std::int64_t rows = rows_ + chunk.rows();
  if (rows > limits_.max_train_rows) {
    return TableTooLarge(rows, "rows", limits_.max_train_rows, "max_train_rows");
  }
  const std::int64_t bytes = rows * cols * static_cast<std::int64_t>(sizeof(double));
  if (bytes > limits_.max_train_bytes) {
    return TableTooLarge(bytes, "bytes", limits_.max_train_bytes, "max_train_bytes");
  }
  const std::size_t old_size = values_.size();
  values_.resize(static_cast<std::size_t>(rows) * chunk.cols());
  MILLRACE_RETURN_IF_ERROR(ReadMatrix(chunk, "chunk", rows_, std::span(values_).subspan(old_size)));
  cols_ = cols;
  rows_ = rows;
  return absl::OkStatus();
}

}  // namespace millrace
