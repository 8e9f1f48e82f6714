// SPDX-License-Identifier: Apache-2.0
// PNG files: https://www.w3.org/TR/png/
#ifndef MILLRACE_CLIENT_CLI_IO_PNG_FILE_H_
#define MILLRACE_CLIENT_CLI_IO_PNG_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/io/image_shape.h"

namespace millrace::cli {

inline constexpr std::string_view kPngMagic = "\x89PNG\r\n\x1a\n";

struct Picture {
  ImageShape shape;
  std::vector<unsigned char> pixels;  // shape.cols() of them
};

// The numbers that the file holds, whatever it says of gamma and colour. Grey of 1, 2 and 4 bits is
// stretched to 0..255; a palette gives three channels. Refused, in errors that name the file: an
// alpha channel or a transparent colour, 16 bits a channel, more than kMostColumns numbers (before
// any of them is read), and damage, an end too early included. What follows the image is not read.
absl::StatusOr<Picture> ReadPng(const std::string& path);

// The bytes of a file; its shape may go beyond kMostColumns. The message does not name the file.
absl::StatusOr<std::string> EncodePng(const Picture& picture);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_PNG_FILE_H_
