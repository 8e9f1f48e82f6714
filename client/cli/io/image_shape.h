// SPDX-License-Identifier: Apache-2.0
// Images as rows of a table.
#ifndef MILLRACE_CLIENT_CLI_IO_IMAGE_SHAPE_H_
#define MILLRACE_CLIENT_CLI_IO_IMAGE_SHAPE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace millrace::cli {

// An image is a row of height * width * channels numbers, 0 to 255 where it comes from 8 bits: the
// lines of pixels from the top, each from the left, the channels of a pixel side by side. Each size
// is at least 1, and together they make at most kMostColumns.
struct ImageShape {
  int height = 0;
  int width = 0;
  int channels = 1;  // 1: grey; 3: red, green, blue

  std::int64_t cols() const { return std::int64_t{height} * width * channels; }
  bool operator==(const ImageShape&) const = default;
};

// "28 x 28 x 1".
std::string ToText(const ImageShape& shape);

// From "28x28", which is grey, or "32x32x3". The message says what is wrong, and no more.
absl::StatusOr<ImageShape> ParseImageShape(const std::string& text);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_IMAGE_SHAPE_H_
