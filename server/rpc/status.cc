// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/status.h"

#include <string>

#include "core/base/error_detail.h"
#include "millrace/v1/error.pb.h"

namespace millrace {
namespace {

// Clients refuse trailers above 8 KiB; the message travels twice, escaped.
std::string CutMessage(absl::string_view message) {
  constexpr std::size_t kLongest = 1024;
  if (message.size() <= kLongest) return std::string(message);
  std::size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;  // UTF-8
  return std::string(message.substr(0, end)) + "...";
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  v1::ErrorStatus error;
  error.set_code(static_cast<int>(status.code()));
  error.set_message(CutMessage(status.message()));
  const ErrorDetail detail = DetailOf(status);
  if (!detail.field.empty()) {
    v1::ErrorDetail message;
    message.set_field(detail.field);
    if (detail.row) message.set_row(static_cast<std::uint64_t>(*detail.row));
    if (detail.column) message.set_column(static_cast<std::uint64_t>(*detail.column));
    message.set_value(detail.value);
    message.set_expected(detail.expected);
    error.add_details()->PackFrom(message);
  }
  return {static_cast<grpc::StatusCode>(status.code()), error.message(), error.SerializeAsString()};
}

absl::Status WithDefaultField(absl::Status status, absl::string_view field) {
  if (!absl::IsInvalidArgument(status)) return status;
  ErrorDetail detail = DetailOf(status);
  if (!detail.field.empty()) return status;
  detail.field = std::string(field);
  return WithDetail(std::move(status), detail);
}

}  // namespace millrace
