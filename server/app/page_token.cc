// SPDX-License-Identifier: Apache-2.0
#include "server/app/page_token.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/error_detail.h"
#include "server/app/model_name.h"

namespace millrace {

std::string EncodePageToken(absl::string_view filter, const PagePosition& position) {
  return absl::WebSafeBase64Escape(
      absl::StrCat("1/", filter, "/", position.name, "/", position.version));
}

absl::StatusOr<PagePosition> DecodePageToken(absl::string_view filter, absl::string_view token) {
  const auto refusal = [token] {
    return InvalidArgument("page_token", token,
                           "next_page_token of the previous page, for the same name");
  };
  constexpr std::size_t kLongest = 512;
  std::string text;
  if (token.size() > kLongest || !absl::WebSafeBase64Unescape(token, &text)) return refusal();
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  PagePosition position;
  if (parts.size() != 4 || parts[0] != "1" || parts[1] != filter || !IsValidModelName(parts[2]) ||
      !absl::SimpleAtoi(parts[3], &position.version)) {
    return refusal();
  }
  position.name = parts[2];
  return position;
}

}  // namespace millrace
