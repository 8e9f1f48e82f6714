// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/hole.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"

namespace millrace::cli {
namespace {

std::string ToText(const RowRange& range) {
  return absl::StrCat(range.begin, ":", range.end ? absl::StrCat(*range.end) : "");
}

bool Within(const RowRange& range, int size) {
  return range.begin < size && range.end.value_or(size) <= size;
}

}  // namespace

absl::StatusOr<Hole> ParseHole(const std::string& text) {
  const std::size_t comma = text.find(',');
  if (comma != std::string::npos) {
    const auto lines = ParseRowRange(text.substr(0, comma));
    const auto columns = ParseRowRange(text.substr(comma + 1));
    if (lines.ok() && columns.ok()) return Hole{*lines, *columns};
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "is ", Quote(text), ", not TOP:BOTTOM,LEFT:RIGHT such as 0:14,0:28, counted from 0, with ",
      "BOTTOM beyond TOP and RIGHT beyond LEFT; any may be left out"));
}

absl::StatusOr<std::vector<int>> ColumnsOf(const Hole& hole, const ImageShape& shape) {
  const auto& [lines, columns] = hole;
  if (!Within(lines, shape.height) || !Within(columns, shape.width))
    return absl::InvalidArgumentError(absl::StrCat("--missing ", ToText(lines), ",",
                                                   ToText(columns), " is not within images of ",
                                                   cli::ToText(shape)));
  std::vector<int> found;
  for (std::int64_t y = lines.begin; y < lines.end.value_or(shape.height); ++y)
    for (std::int64_t i = columns.begin * shape.channels;
         i < columns.end.value_or(shape.width) * shape.channels; ++i)
      found.push_back(static_cast<int>(y * shape.width * shape.channels + i));
  return found;
}

void TakeOut(const std::vector<int>& columns, client::Table& rows) {
  for (std::int64_t r = 0; r < rows.rows; ++r)
    for (const int c : columns)
      rows.values[static_cast<std::size_t>(r * rows.cols + c)] =
          std::numeric_limits<double>::quiet_NaN();
}

bool HasMissing(const client::Table& rows) {
  return std::ranges::any_of(rows.values, [](double value) { return std::isnan(value); });
}

}  // namespace millrace::cli
