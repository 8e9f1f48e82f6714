// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/image_shape.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/table_reader.h"

namespace millrace::cli {

std::string ToText(const ImageShape& shape) {
  return absl::StrCat(shape.height, " x ", shape.width, " x ", shape.channels);
}

absl::StatusOr<ImageShape> ParseImageShape(const std::string& text) {
  std::vector<int> sizes;
  const std::vector<std::string> parts = absl::StrSplit(text, 'x');
  for (const std::string& part : parts) {
    int size = 0;
    if (absl::SimpleAtoi(part, &size) && size > 0 && size <= kMostColumns) sizes.push_back(size);
  }
  const bool whole = sizes.size() == parts.size() && (sizes.size() == 2 || sizes.size() == 3);
  const ImageShape shape =
      whole ? ImageShape{sizes[0], sizes[1], sizes.size() == 3 ? sizes[2] : 1} : ImageShape{};
  // Of two factors the product fits 64 bits; the third is 1 or 3.
  if (!whole || (shape.channels != 1 && shape.channels != 3) || shape.cols() > kMostColumns) {
    return absl::InvalidArgumentError(absl::StrCat(
        "is ", Quote(text), ", not HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS such as 28x28 or 32x32x3,",
        " with 1 or 3 channels and at most ", kMostColumns, " numbers an image"));
  }
  return shape;
}

}  // namespace millrace::cli
