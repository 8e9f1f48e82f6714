// SPDX-License-Identifier: Apache-2.0
// Tables that are sent in parts. Internal to the client.
#ifndef MILLRACE_CLIENT_PARTS_H_
#define MILLRACE_CLIENT_PARTS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "client/options.h"
#include "client/table.h"
#include "client/wire.h"

namespace millrace::client {

// Rows of `rows`, each with its condition, that go into one message.
std::int64_t RowsPerMessage(const ClientOptions& options, const Table& rows, const Table& context);

// INVALID_ARGUMENT unless the context is none, or one row for all of so many rows or one for each.
absl::Status CheckContext(const Table& context, std::int64_t rows);

// Whether fewer rows may pass: the server names their number, or the message is too large for gRPC,
// which gives no detail.
bool MayBeTooManyRows(const absl::Status& status);

// INTERNAL: a reply has `got` entries in `field` for `want` rows.
absl::Status Malformed(const std::string& method, const std::string& field, std::int64_t got,
                       std::int64_t want);

// Adds the next `count` entries of a reply to a result.
template <typename Field, typename Vector>
absl::Status Append(const char* method, const char* name, const Field& field, std::int64_t count,
                    Vector& out) {
  if (field.size() != count) return Malformed(method, name, field.size(), count);
  out.insert(out.end(), field.begin(), field.end());
  return absl::OkStatus();
}

// The conditions of rows [begin, begin + count) of a table, in a request.
template <typename Request>
void SetPartOfContext(const Table& context, std::int64_t begin, std::int64_t count,
                      Request& request) {
  if (context.rows == 0) return;
  SetContext(context, context.rows == 1 ? 0 : begin, context.rows == 1 ? 1 : count, request);
}

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_PARTS_H_
