// SPDX-License-Identifier: Apache-2.0
#include "server/app/model_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "core/base/error_detail.h"

namespace millrace {
namespace {

bool IsLowerOrDigit(char c) {
  return absl::ascii_islower(static_cast<unsigned char>(c)) ||
         absl::ascii_isdigit(static_cast<unsigned char>(c));
}

}  // namespace

bool IsValidModelName(absl::string_view name) {
  constexpr std::size_t kLongest = 63;
  return !name.empty() && name.size() <= kLongest &&
         absl::ascii_islower(static_cast<unsigned char>(name.front())) &&
         IsLowerOrDigit(name.back()) && std::all_of(name.begin(), name.end(), [](char c) {
           return c == '-' || IsLowerOrDigit(c);
         });
}

absl::Status CheckModelName(absl::string_view name) {
  if (IsValidModelName(name)) return absl::OkStatus();
  return InvalidArgument(
      "name", name.empty() ? "empty" : name,
      "1 to 63 of a-z, 0-9 and '-', beginning with a letter and not ending in '-'");
}

}  // namespace millrace
