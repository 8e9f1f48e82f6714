// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/array_header.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/io/table_reader.h"

namespace millrace::cli {

absl::Status SetDims(std::vector<std::int64_t> dims, ArrayHeader& header) {
  const std::size_t count = dims.size();
  if (count == 0 || count > 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("is an array of ", count,
                     " dimensions; a table has rows and columns, images have n x height x width or "
                     "n x height x width x channels"));
  }
  const std::string shape = absl::StrJoin(dims, " x ");
  header.rows = dims[0];
  header.cols = 1;
  for (std::size_t i = 1; i < count; ++i) {
    // Where the product is beyond the limit it stays there, unless a later dimension is 0.
    header.cols = std::min(header.cols, kMostColumns + 1) * std::min(dims[i], kMostColumns + 1);
  }
  if (header.rows == 0 || header.cols == 0 || header.cols > kMostColumns) {
    return absl::InvalidArgumentError(absl::StrCat("is ", shape, "; at least one row and 1 to ",
                                                   kMostColumns, " columns are needed"));
  }
  if (header.rows > std::numeric_limits<std::int64_t>::max() / header.item_size / header.cols) {
    return absl::InvalidArgumentError(
        absl::StrCat("declares ", shape, " elements, more than can exist"));
  }
  if (count == 4 && dims[3] != 1 && dims[3] != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("is ", shape, "; images of 1 or 3 channels are read, the channels last"));
  }
  if (count > 2) {
    header.image_shape = {static_cast<int>(dims[1]), static_cast<int>(dims[2]),
                          count == 4 ? static_cast<int>(dims[3]) : 1};
  }
  header.dims = std::move(dims);
  return absl::OkStatus();
}

}  // namespace millrace::cli
