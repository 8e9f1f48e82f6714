// SPDX-License-Identifier: Apache-2.0
// --missing of `complete`: a rectangle of pixels.
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_HOLE_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_HOLE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/io/image_shape.h"
#include "client/cli/io/reader_adapters.h"
#include "client/table.h"

namespace millrace::cli {

// Pixels that are in one of these lines and in one of these columns of an image, counted from 0 at
// the top left.
struct Hole {
  RowRange lines;
  RowRange columns;
};

// From "TOP:BOTTOM,LEFT:RIGHT", of which BOTTOM and RIGHT are outside and any may be left out. The
// message says what is wrong, and no more.
absl::StatusOr<Hole> ParseHole(const std::string& text);

// The columns of a row that are the hole's pixels, all channels of each. INVALID_ARGUMENT where it
// is not all within images of `shape`.
absl::StatusOr<std::vector<int>> ColumnsOf(const Hole& hole, const ImageShape& shape);

// Makes these columns of all rows NaN.
void TakeOut(const std::vector<int>& columns, client::Table& rows);

// Whether a value of the rows is missing.
bool HasMissing(const client::Table& rows);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_HOLE_H_
