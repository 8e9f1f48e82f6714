// SPDX-License-Identifier: Apache-2.0
// ReadIdxHeader: 0, 0, the type of the elements, the number of dimensions; then each dimension as
// four bytes, the highest first.
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/io/array_header.h"
#include "client/cli/io/file_error.h"

namespace millrace::cli {
namespace {

constexpr unsigned kUnsignedByte = 0x08;

absl::Status CheckType(unsigned type) {
  if (type == kUnsignedByte) return absl::OkStatus();
  constexpr std::string_view kOthers = "\x09\x0b\x0c\x0d\x0e";
  const bool known = kOthers.find(static_cast<char>(type)) != std::string_view::npos;
  const std::string name = absl::StrFormat("0x%02X", type);
  return absl::InvalidArgumentError(
      absl::StrCat(known ? absl::StrCat("is an IDX file of element type ", name)
                         : absl::StrCat("begins with two bytes of 0 like an IDX file, but ", name,
                                        " is no type of elements"),
                   "; unsigned bytes (0x08) are read"));
}

// Fills `bytes`, or says that the file ends.
absl::Status Take(Input& input, std::span<char> bytes) {
  const auto got = input.Read(bytes);
  if (!got.ok()) return got.status();
  return *got == bytes.size() ? absl::OkStatus()
                              : FileError(input.name(), "ends within its IDX header");
}

}  // namespace

absl::StatusOr<ArrayHeader> ReadIdxHeader(Input& input) {
  std::string magic(4, '\0');
  if (absl::Status status = Take(input, magic); !status.ok()) return status;
  absl::Status status = CheckType(static_cast<unsigned char>(magic[2]));
  if (!status.ok()) return FileError(input.name(), std::string(status.message()));
  std::vector<std::int64_t> dims(static_cast<unsigned char>(magic[3]));
  for (std::int64_t& dim : dims) {
    std::string bytes(4, '\0');
    if (status = Take(input, bytes); !status.ok()) return status;
    for (const char byte : bytes) dim = dim << 8 | static_cast<unsigned char>(byte);
  }
  ArrayHeader header{.kind = 'u', .item_size = 1};
  status = SetDims(std::move(dims), header);
  if (!status.ok()) return FileError(input.name(), std::string(status.message()));
  return header;
}

}  // namespace millrace::cli
