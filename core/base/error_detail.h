// SPDX-License-Identifier: Apache-2.0
// Where in the input a fault lies, in a form for programs. It travels inside absl::Status as
// payloads (one a field), and in its message as text; the server puts it on the wire.
#ifndef MILLRACE_CORE_BASE_ERROR_DETAIL_H_
#define MILLRACE_CORE_BASE_ERROR_DETAIL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace millrace {

struct ErrorDetail {
  std::string field = {};  // path from the input's root: "options.batch_size"
  std::optional<std::int64_t> row = std::nullopt;     // counted from 0
  std::optional<std::int64_t> column = std::nullopt;  // counted from 0
  std::string value = {};                             // offending, as text; shown escaped and cut
  std::string expected = {};                          // what would be right: "a finite number"
};

// At most 64 bytes of printable ASCII, whatever `value` holds.
inline std::string PrintableValue(absl::string_view value) {
  constexpr std::size_t kLongest = 64;
  std::string escaped = absl::CHexEscape(value.substr(0, kLongest));
  if (value.size() <= kLongest && escaped.size() <= kLongest) return escaped;
  escaped.resize(kLongest - 3);
  return escaped + "...";
}

namespace internal {

inline constexpr absl::string_view kDetailField = "millrace/field";
inline constexpr absl::string_view kDetailRow = "millrace/row";
inline constexpr absl::string_view kDetailColumn = "millrace/column";
inline constexpr absl::string_view kDetailValue = "millrace/value";
inline constexpr absl::string_view kDetailExpected = "millrace/expected";

inline std::string DetailText(const absl::Status& status, absl::string_view key) {
  const auto payload = status.GetPayload(key);
  return payload.has_value() ? std::string(*payload) : std::string();
}

inline std::optional<std::int64_t> DetailNumber(const absl::Status& status, absl::string_view key) {
  std::int64_t number = 0;
  if (!absl::SimpleAtoi(DetailText(status, key), &number)) return std::nullopt;
  return number;
}

}  // namespace internal

// The same status with `detail` attached in place of an earlier one; its message is left alone.
inline absl::Status WithDetail(absl::Status status, const ErrorDetail& detail) {
  const auto set = [&status](absl::string_view key, const std::string& text) {
    status.ErasePayload(key);
    if (!text.empty()) status.SetPayload(key, absl::Cord(text));
  };
  set(internal::kDetailField, detail.field);
  set(internal::kDetailRow, detail.row ? absl::StrCat(*detail.row) : "");
  set(internal::kDetailColumn, detail.column ? absl::StrCat(*detail.column) : "");
  set(internal::kDetailValue, PrintableValue(detail.value));
  set(internal::kDetailExpected, detail.expected);
  return status;
}

// The detail of a status; all empty where none was attached.
inline ErrorDetail DetailOf(const absl::Status& status) {
  return {.field = internal::DetailText(status, internal::kDetailField),
          .row = internal::DetailNumber(status, internal::kDetailRow),
          .column = internal::DetailNumber(status, internal::kDetailColumn),
          .value = internal::DetailText(status, internal::kDetailValue),
          .expected = internal::DetailText(status, internal::kDetailExpected)};
}

// A status whose message is made of the detail: "rows, row 3, column 1: nan; expected a finite
// number".
inline absl::Status MakeError(absl::StatusCode code, const ErrorDetail& detail) {
  std::string message = detail.field;
  if (detail.row) absl::StrAppend(&message, ", row ", *detail.row);
  if (detail.column) absl::StrAppend(&message, ", column ", *detail.column);
  if (!detail.value.empty()) absl::StrAppend(&message, ": ", PrintableValue(detail.value));
  if (!detail.expected.empty()) {
    absl::StrAppend(&message, detail.value.empty() ? ": " : "; ", "expected ", detail.expected);
  }
  return WithDetail(absl::Status(code, message), detail);
}

inline absl::Status InvalidArgument(absl::string_view field, absl::string_view value,
                                    absl::string_view expected) {
  return MakeError(absl::StatusCode::kInvalidArgument, {.field = std::string(field),
                                                        .value = std::string(value),
                                                        .expected = std::string(expected)});
}

}  // namespace millrace

#endif  // MILLRACE_CORE_BASE_ERROR_DETAIL_H_
