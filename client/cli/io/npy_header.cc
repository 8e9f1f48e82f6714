// SPDX-License-Identifier: Apache-2.0
// ReadNpyHeader.
#include <charconv>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/io/array_header.h"
#include "client/cli/io/file_error.h"

namespace millrace::cli {
namespace {

constexpr std::size_t kLongestHeader = 1 << 20;

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

absl::Status ParseType(std::string_view text, ArrayHeader& header) {
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

// From the text of the header, a Python dictionary.
absl::StatusOr<ArrayHeader> Parse(std::string_view text) {
  ArrayHeader header;
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
  if (absl::Status status = SetDims(std::move(shape), header); !status.ok()) return status;
  return header;
}

// Takes magic, version and header text.
absl::StatusOr<std::string> ReadHeaderText(Input& input) {
  std::string start(12, '\0');
  const auto got = input.Read(std::span(start.data(), 8));
  if (!got.ok()) return got.status();
  const bool long_length = *got == 8 && start[6] >= 2;  // versions 2 and 3
  const std::size_t length_bytes = long_length ? 4 : 2;
  const auto more = input.Read(std::span(start.data() + 8, length_bytes));
  if (!more.ok()) return more.status();
  if (*got < 8 || *more < length_bytes) return FileError(input.name(), "ends within its header");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    length |= static_cast<std::size_t>(static_cast<unsigned char>(start[8 + i])) << (8 * i);
  }
  if (length > kLongestHeader) {
    return FileError(input.name(),
                     absl::StrCat("declares a header of ", length, " bytes: damaged"));
  }
  std::string text(length, '\0');
  const auto filled = input.Read(text);
  if (!filled.ok()) return filled.status();
  if (*filled < length) return FileError(input.name(), "ends within its header");
  return text;
}

}  // namespace

absl::StatusOr<ArrayHeader> ReadNpyHeader(Input& input) {
  const auto start = input.Peek(kNpyMagic.size());
  if (!start.ok()) return start.status();
  if (*start != kNpyMagic) return FileError(input.name(), "is not an .npy array");
  const auto text = ReadHeaderText(input);
  if (!text.ok()) return text.status();
  auto header = Parse(*text);
  if (!header.ok()) return FileError(input.name(), std::string(header.status().message()));
  return header;
}

}  // namespace millrace::cli
