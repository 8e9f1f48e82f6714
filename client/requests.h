// SPDX-License-Identifier: Apache-2.0
// Requests about rows and their replies, in as many parts as it takes. Internal to the client.
#ifndef MILLRACE_CLIENT_REQUESTS_H_
#define MILLRACE_CLIENT_REQUESTS_H_

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/client.h"
#include "client/parts.h"
#include "client/status.h"
#include "client/wire.h"

namespace millrace::client {

template <typename Request>
Request RequestFor(const ModelRef& model) {
  Request request;
  request.set_name(model.name);
  request.set_version(model.version);
  return request;
}

template <typename Names>
void SetNames(const Names& names, Table& table) {
  if (names.size() > 0) table.column_names.assign(names.begin(), names.end());
}

inline absl::Status AppendRows(const char* method, const v1::Matrix& matrix, std::int64_t count,
                               Table& out) {
  absl::StatusOr<Table> part = FromMatrix(matrix);
  if (!part.ok()) return part.status();
  if (part->rows != count) return Malformed(method, "a matrix", part->rows, count);
  if (out.rows > 0 && part->cols != out.cols) {
    return absl::InternalError(absl::StrCat("the server's replies to ", method, " have ", out.cols,
                                            " columns, then ", part->cols));
  }
  out.cols = part->cols;
  out.rows += part->rows;
  out.values.insert(out.values.end(), part->values.begin(), part->values.end());
  return absl::OkStatus();
}

inline void SetRows(const Table& table, std::int64_t begin, std::int64_t count,
                    v1::DecodeRequest& request) {
  *request.mutable_latents() = ToMatrix(table, begin, count);
}

template <typename Request>
void SetRows(const Table& table, std::int64_t begin, std::int64_t count, Request& request) {
  *request.mutable_rows() = ToMatrix(table, begin, count);
  *request.mutable_column_names() = {table.column_names.begin(), table.column_names.end()};
}

// Sends `table` with its context in parts of at most `part_rows` rows, from where the server finds
// one too large of half as many, and hands each reply to `absorb` with its number of rows. The
// first reply's version is asked of the others. Returns it.
template <typename Request, typename Response, typename Absorb>
absl::StatusOr<std::uint64_t> InParts(v1::DensityService::Stub& stub,
                                      grpc::Status (v1::DensityService::Stub::*method)(
                                          grpc::ClientContext*, const Request&, Response*),
                                      Request request, const Table& table, const Table& context,
                                      std::int64_t part_rows, const ClientOptions& options,
                                      const CallOptions& call, Absorb absorb) {
  if (absl::Status status = CheckTable(table); !status.ok()) return status;
  if (absl::Status status = CheckContext(context, table.rows); !status.ok()) return status;
  for (std::int64_t begin = 0; begin < table.rows;) {
    const std::int64_t count = std::min(part_rows, table.rows - begin);
    SetRows(table, begin, count, request);
    SetPartOfContext(context, begin, count, request);
    const absl::StatusOr<Response> response = Unary(stub, method, request, options, call);
    if (count > 1 && MayBeTooManyRows(response.status())) {
      part_rows = count / 2;
      continue;
    }
    if (!response.ok()) return CountRowsFrom(begin, response.status());
    request.set_version(response->version());
    if (absl::Status status = absorb(*response, count); !status.ok()) return status;
    begin += count;
    if constexpr (requires { request.set_first_row(std::uint64_t{}); })
      request.set_first_row(request.first_row() + static_cast<std::uint64_t>(count));
  }
  return request.version();
}

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_REQUESTS_H_
