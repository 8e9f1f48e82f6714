// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/table_reader.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/io/array_reader.h"
#include "client/cli/io/csv_reader.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/input.h"
#include "client/cli/io/png_file.h"
#include "client/cli/io/png_reader.h"

namespace millrace::cli {

absl::StatusOr<std::vector<int>> ResolveColumns(const std::vector<std::string>& wanted,
                                                const std::vector<std::string>& names, int cols) {
  std::vector<int> positions(static_cast<std::size_t>(cols));
  std::iota(positions.begin(), positions.end(), 0);
  if (wanted.empty()) return positions;
  positions.clear();
  for (const std::string& column : wanted) {
    const auto found = std::find(names.begin(), names.end(), column);
    int position = static_cast<int>(found - names.begin());
    if (found == names.end() &&
        (!absl::SimpleAtoi(column, &position) || position < 0 || position >= cols)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "no column ", Quote(column), "; there are ",
          names.empty() ? absl::StrCat("columns 0 to ", cols - 1) : absl::StrJoin(names, ", ")));
    }
    if (std::find(positions.begin(), positions.end(), position) != positions.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("column ", Quote(column), " is asked for twice"));
    }
    positions.push_back(position);
  }
  return positions;
}

std::vector<std::string> NamesOf(const std::vector<std::string>& names, int cols) {
  if (!names.empty()) return names;
  std::vector<std::string> numbered;
  for (int i = 0; i < cols; ++i) numbered.push_back(absl::StrCat("x", i));
  return numbered;
}

absl::StatusOr<std::unique_ptr<TableReader>> OpenTable(const std::string& path,
                                                       const ReadOptions& options) {
  std::error_code ignored;
  if (path != "-" && std::filesystem::is_directory(path, ignored)) {
    return PngReader::OpenFolder(path, options);
  }
  auto bytes = OpenBytes(path);
  if (!bytes.ok()) return bytes.status();
  const std::string name = path == "-" ? "standard input" : path;
  Input input(name, *std::move(bytes));
  const auto start = input.Peek(6);
  if (!start.ok()) return start.status();
  if (start->starts_with(kNpyMagic)) return ArrayReader::OpenNpy(std::move(input), options);
  if (start->starts_with(kIdxMagic)) return ArrayReader::OpenIdx(std::move(input), options);
  const bool is_png = start->starts_with(kPngMagic.substr(0, 4));
  const bool is_zip = start->starts_with("PK\x03\x04") || start->starts_with("PK\x05\x06");
  if (!is_zip && !is_png) return CsvReader::Open(std::move(input), options);

  if (path == "-") {
    return FileError(name, absl::StrCat(is_png ? "a PNG" : "an .npz archive",
                                        " cannot be read from a pipe; name the file"));
  }
  if (is_png) return PngReader::Open({path}, options);
  std::string key = options.key;
  auto entry = OpenZipEntry(path, key);
  if (!entry.ok()) return entry.status();
  return ArrayReader::OpenNpy(Input(absl::StrCat(path, "[", key, "]"), *std::move(entry)), options);
}

}  // namespace millrace::cli
