// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/npy_header.h"

#include <charconv>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"

namespace millrace::cli {
namespace {

// What follows "'key':" in the dictionary, without leading blanks; empty where the key is missing.
std::string_view ValueOf(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + key.size());
  const std::size_t begin = text.find_first_not_of(" :");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

// The inside of `text`, which begins with `open`, up to `close`.
bool Inside(std::string_view text, char open, char close, std::string_view& inside) {
  if (!text.starts_with(open)) return false;
  const std::size_t end = text.find(close, 1);
  if (end == std::string_view::npos) return false;
  inside = text.substr(1, end - 1);
  return true;
}

// Numbers between commas; false for anything else, or one beyond 64 bits.
bool ParseShape(std::string_view text, std::vector<std::int64_t>& shape) {
  while (true) {
    const std::size_t begin = text.find_first_not_of(" ");
    if (begin == std::string_view::npos) return true;
    text.remove_prefix(begin);
    std::int64_t value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || value < 0) return false;
    shape.push_back(value);
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    if (text.empty()) return true;
    if (text.front() != ',') return false;
    text.remove_prefix(1);
  }
}

absl::Status ParseType(std::string_view text, NpyHeader& header) {
  std::string_view type;
  if (!Inside(text, '\'', '\'', type)) {
    return absl::InvalidArgumentError("holds elements that are not plain numbers");
  }
  for (const std::string_view known :
       {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}) {
    if (type.size() != 3 || type.substr(1) != known) continue;
    header.big_endian = type[0] == '>';
    header.kind = type[1];
    header.item_size = type[2] - '0';
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("holds elements of type ", Quote(type), "; bool, integers and floats are read"));
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(std::string_view text) {
  NpyHeader header;
  if (absl::Status status = ParseType(ValueOf(text, "'descr'"), header); !status.ok())
    return status;
  const std::string_view order = ValueOf(text, "'fortran_order'");
  header.fortran_order = order.starts_with("True");
  if (!header.fortran_order && !order.starts_with("False")) {
    return absl::InvalidArgumentError("has a damaged header: no fortran_order");
  }
  std::string_view inside;
  std::vector<std::int64_t> shape;
  if (!Inside(ValueOf(text, "'shape'"), '(', ')', inside) || !ParseShape(inside, shape)) {
    return absl::InvalidArgumentError("has a damaged header: no shape");
  }
  if (shape.empty() || shape.size() > 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("is an array of ", shape.size(), " dimensions; a table has rows and columns"));
  }
  header.rows = shape[0];
  header.cols = shape.size() == 2 ? shape[1] : 1;
  if (header.cols > 0 &&
      header.rows > std::numeric_limits<std::int64_t>::max() / header.item_size / header.cols) {
    return absl::InvalidArgumentError(absl::StrCat("declares ", header.rows, " x ", header.cols,
                                                   " elements, more than can exist"));
  }
  return header;
}

}  // namespace millrace::cli
