// SPDX-License-Identifier: Apache-2.0
// The header of an .npy file:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#ifndef MILLRACE_CLIENT_CLI_IO_NPY_HEADER_H_
#define MILLRACE_CLIENT_CLI_IO_NPY_HEADER_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace millrace::cli {

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";

struct NpyHeader {
  char kind = 'f';    // f: floating, i: signed, u: unsigned, b: bool
  int item_size = 8;  // bytes
  bool big_endian = false;
  bool fortran_order = false;
  std::int64_t rows = 0;  // >= 0
  std::int64_t cols = 0;  // 1 for an array of one dimension
};

// From the text of the header, a Python dictionary. The message says what is wrong or not
// supported: types other than bool, integers and floats of 2 to 8 bytes, and shapes of other than 1
// or 2 dimensions.
absl::StatusOr<NpyHeader> ParseNpyHeader(std::string_view text);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_NPY_HEADER_H_
