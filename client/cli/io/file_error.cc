// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/file_error.h"

#include <cstring>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace millrace::cli {
namespace {

constexpr char kMark[] = "millrace.cli/file_error";

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status FileError(std::string_view where, std::string_view what, absl::StatusCode code) {
  absl::Status status(code, absl::StrCat(View(where), ": ", View(what)));
  status.SetPayload(kMark, absl::Cord());
  return status;
}

absl::Status SystemError(std::string_view where, std::string_view doing, int error) {
  return FileError(where, absl::StrCat(View(doing), ": ", std::strerror(error)),
                   absl::ErrnoToStatusCode(error));
}

bool IsFileError(const absl::Status& status) { return status.GetPayload(kMark).has_value(); }

std::string Quote(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  const std::string escaped = absl::Utf8SafeCEscape(View(text.substr(0, kLongest)));
  return absl::StrCat("'", escaped, text.size() > kLongest ? "...'" : "'");
}

}  // namespace millrace::cli
