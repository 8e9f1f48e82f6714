// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_IO_PNG_WRITER_H_
#define MILLRACE_CLIENT_CLI_IO_PNG_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/io/image_shape.h"
#include "client/cli/io/table_writer.h"

namespace millrace::cli {

// The most numbers of a picture, those between its images included.
inline constexpr std::int64_t kMostNumbersOfPicture = 1 << 27;

// RESOURCE_EXHAUSTED where a picture of `count` images of `shape`, `columns` side by side as below,
// has more.
absl::Status CheckPicture(const std::string& path, const ImageShape& shape, std::int64_t count,
                          int columns);

// A writer of one PNG that shows the rows it is given, each an image of `shape`, in a grid: row by
// row from the top left, `columns` images side by side (0: about as many as stand one upon the
// other), two grey pixels between neighbours. Numbers are rounded and clamped to 0..255; NaN, a
// missing value, is of the same grey. Held in memory until Close, up to which a file that is there
// stays as it is; RESOURCE_EXHAUSTED for a picture of more than kMostNumbersOfPicture.
absl::StatusOr<std::unique_ptr<TableWriter>> OpenPngWriter(const std::string& path,
                                                           const ImageShape& shape,
                                                           int columns = 0);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_PNG_WRITER_H_
