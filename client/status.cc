// SPDX-License-Identifier: Apache-2.0
#include "client/status.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace millrace::client {
namespace {

constexpr char kDetailUrl[] = "type.googleapis.com/millrace.v1.ErrorDetail";

void SetDetail(const v1::ErrorDetail& detail, absl::Status& status) {
  status.SetPayload(kDetailUrl, absl::Cord(detail.SerializeAsString()));
}

absl::StatusCode CodeOf(const grpc::Status& status) {
  const int code = status.error_code();  // gRPC and Abseil number the canonical codes alike
  return code >= 0 && code <= 16 ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

}  // namespace

std::optional<v1::ErrorDetail> ErrorDetailOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kDetailUrl);
  v1::ErrorDetail detail;
  if (!payload || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

absl::Status FromGrpc(const grpc::Status& status, const std::string& target) {
  if (status.ok()) return absl::OkStatus();
  std::string message = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    message = absl::StrCat("server ", target, ": ", message);
  }
  absl::Status result(CodeOf(status), message);
  v1::ErrorStatus details;
  if (!status.error_details().empty() && details.ParseFromString(status.error_details())) {
    for (const auto& any : details.details()) {
      if (v1::ErrorDetail detail; any.UnpackTo(&detail)) SetDetail(detail, result);
    }
  }
  return result;
}

absl::Status CountRowsFrom(std::int64_t first_row, const absl::Status& status) {
  std::optional<v1::ErrorDetail> detail = ErrorDetailOf(status);
  if (first_row == 0 || !detail || !detail->has_row()) return status;
  detail->set_row(detail->row() + static_cast<std::uint64_t>(first_row));
  absl::Status result(status.code(),
                      absl::StrCat(std::string(status.message()), " (row ", detail->row(),
                                   " of the whole table, which was sent in parts)"));
  SetDetail(*detail, result);
  return result;
}

absl::Status NamePart(const absl::Status& status, const std::string& part) {
  std::optional<v1::ErrorDetail> detail = ErrorDetailOf(status);
  if (!detail) return status;
  std::string field = detail->field();
  const std::size_t end = std::min(field.find('.'), field.size());
  const std::string name = field.substr(0, end);
  if (name != "rows" && name != "context") return status;
  field.insert(end, absl::StrCat("_", part));
  absl::Status result(status.code(),
                      absl::StrCat(std::string(status.message()), " (of ", name, "_", part, ")"));
  detail->set_field(field);
  SetDetail(*detail, result);
  return result;
}

}  // namespace millrace::client
