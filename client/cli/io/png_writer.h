// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_IO_PNG_WRITER_H_
#define MILLRACE_CLIENT_CLI_IO_PNG_WRITER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/io/image_shape.h"
#include "client/cli/io/table_writer.h"

namespace millrace::cli {

// A writer of one PNG that shows the rows it is given, each an image of `shape`, in a grid: row by
// row from the top left, `columns` images side by side (0: about as many as stand one upon the
// other), two grey pixels between neighbours. Numbers are rounded and clamped to 0..255; NaN, a
// missing value, is of the same grey. Held in memory until Close; RESOURCE_EXHAUSTED for a picture
// of more than 2^27 numbers.
absl::StatusOr<std::unique_ptr<TableWriter>> OpenPngWriter(const std::string& path,
                                                           const ImageShape& shape,
                                                           int columns = 0);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_PNG_WRITER_H_
