// SPDX-License-Identifier: Apache-2.0
// Failed calls as absl::Status.
#ifndef MILLRACE_CLIENT_STATUS_H_
#define MILLRACE_CLIENT_STATUS_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "millrace/v1/error.pb.h"

namespace millrace::client {

// Which part of the request was at fault, where the server said so.
std::optional<v1::ErrorDetail> ErrorDetailOf(const absl::Status& status);

// The same code and message, and the ErrorDetail as payload. Where no server answered, `target` is
// added to the message.
absl::Status FromGrpc(const grpc::Status& status, const std::string& target);

// For a request that began at row `first_row` of the caller's table: counts the row at fault from
// the table's start, in the detail and in words at the end of the message.
absl::Status CountRowsFrom(std::int64_t first_row, const absl::Status& status);

// For a request about one of two tables of the caller's: says which, `name`_PART instead of `name`
// as the field at fault, in the detail and in words at the end of the message. Other faults are
// left as they are.
absl::Status NamePart(const absl::Status& status, const std::string& part);

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_STATUS_H_
