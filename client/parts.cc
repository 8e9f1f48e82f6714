// SPDX-License-Identifier: Apache-2.0
#include "client/parts.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/status.h"

namespace millrace::client {

std::int64_t RowsPerMessage(const ClientOptions& options, const Table& rows, const Table& context) {
  const std::int64_t cols = std::max(rows.cols, 1) + std::max(context.cols, 0);
  const std::int64_t row_bytes = cols * static_cast<std::int64_t>(sizeof(double));
  return std::max<std::int64_t>(1,
                                std::min(options.request_rows, options.request_bytes / row_bytes));
}

absl::Status CheckContext(const Table& context, std::int64_t rows) {
  if (context.rows == 0 && context.cols == 0) return absl::OkStatus();
  if (absl::Status status = CheckTable(context); !status.ok()) return status;
  if (context.rows == 1 || context.rows == rows) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("context has ", context.rows, " rows for ", rows,
                                                 ": one for each, or 1 for all"));
}

bool MayBeTooManyRows(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return false;
  const auto detail = ErrorDetailOf(status);
  return !detail || absl::EndsWith(detail->field(), ".rows");
}

absl::Status Malformed(const std::string& method, const std::string& field, std::int64_t got,
                       std::int64_t want) {
  return absl::InternalError(absl::StrCat("the server's reply to ", method, " has ", got,
                                          " entries in ", field, " for ", want, " rows"));
}

}  // namespace millrace::client
