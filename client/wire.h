// SPDX-License-Identifier: Apache-2.0
// Tables as they travel.
#ifndef MILLRACE_CLIENT_WIRE_H_
#define MILLRACE_CLIENT_WIRE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/table.h"
#include "millrace/v1/matrix.pb.h"

namespace millrace::client {

// INVALID_ARGUMENT unless the table keeps its invariants and has at least one row and column.
absl::Status CheckTable(const Table& table);

// Rows [begin, begin + count) of a checked table, raw and little-endian.
v1::Matrix ToMatrix(const Table& table, std::int64_t begin, std::int64_t count);

// Sets the context of a request to rows [begin, begin + count) of a checked table.
template <typename Request>
void SetContext(const Table& context, std::int64_t begin, std::int64_t count, Request& request) {
  *request.mutable_context() = ToMatrix(context, begin, count);
  *request.mutable_context_column_names() = {context.column_names.begin(),
                                             context.column_names.end()};
}

// Any encoding, without column names. INTERNAL when the matrix contradicts itself, for it came from
// a server.
absl::StatusOr<Table> FromMatrix(const v1::Matrix& matrix);

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_WIRE_H_
