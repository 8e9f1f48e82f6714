// SPDX-License-Identifier: Apache-2.0
// The opaque token between two pages of a list.
#ifndef MILLRACE_SERVER_APP_PAGE_TOKEN_H_
#define MILLRACE_SERVER_APP_PAGE_TOKEN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace millrace {

// Where a page ended: the last model on it.
struct PagePosition {
  std::string name;
  std::uint64_t version = 0;
};

// `filter` is the name that the list was asked for, or empty.
std::string EncodePageToken(absl::string_view filter, const PagePosition& position);

// INVALID_ARGUMENT (field "page_token") for text that EncodePageToken has not made, or made for
// another filter.
absl::StatusOr<PagePosition> DecodePageToken(absl::string_view filter, absl::string_view token);

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_PAGE_TOKEN_H_
