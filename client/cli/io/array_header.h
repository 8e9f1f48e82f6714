// SPDX-License-Identifier: Apache-2.0
// The headers of files that hold one array.
//   .npy: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//   IDX: http://yann.lecun.com/exdb/mnist/, the format of MNIST
#ifndef MILLRACE_CLIENT_CLI_IO_ARRAY_HEADER_H_
#define MILLRACE_CLIENT_CLI_IO_ARRAY_HEADER_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/io/image_shape.h"
#include "client/cli/io/input.h"

namespace millrace::cli {

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";
inline constexpr std::string_view kIdxMagic("\0\0", 2);

struct ArrayHeader {
  char kind = 'f';    // f: floating, i: signed, u: unsigned, b: bool
  int item_size = 8;  // bytes
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<std::int64_t> dims = {};  // [rows], [rows, cols] or [rows, height, width(, channels)]
  std::int64_t rows = 0;                // at least 1
  std::int64_t cols = 0;                // 1 to kMostColumns
  std::optional<ImageShape> image_shape = std::nullopt;  // where there are three or four dimensions
};

// Each takes the header off `input`, whose errors name the file. Refused are types that are not
// read (.npy: other than bool, integers and floats of 2 to 8 bytes; IDX: other than unsigned
// bytes), shapes of other than one to four dimensions, images of other than 1 or 3 channels, empty
// arrays, and sizes beyond kMostColumns or 64 bits.
absl::StatusOr<ArrayHeader> ReadNpyHeader(Input& input);
absl::StatusOr<ArrayHeader> ReadIdxHeader(Input& input);

// Sets dims and what follows from them. The message does not name the file.
absl::Status SetDims(std::vector<std::int64_t> dims, ArrayHeader& header);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_ARRAY_HEADER_H_
