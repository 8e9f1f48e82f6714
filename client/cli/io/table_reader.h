// SPDX-License-Identifier: Apache-2.0
// Tables from files, read piece by piece.
#ifndef MILLRACE_CLIENT_CLI_IO_TABLE_READER_H_
#define MILLRACE_CLIENT_CLI_IO_TABLE_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/io/image_shape.h"
#include "client/table.h"

namespace millrace::cli {

// The most columns that an array, or an image, may have.
inline constexpr std::int64_t kMostColumns = 1 << 20;

enum class Header {
  kAuto,  // the first line is a header when none of its fields is a number
  kYes,
  kNo,
};

struct ReadOptions {
  Header header = Header::kAuto;  // CSV only
  char delimiter = 0;    // CSV only; 0: the one of , ; and tab that the first line has most of
  std::string key = {};  // NPZ only: the array; empty: "X", or the only one
  bool missing = false;  // an empty field of a CSV, or NaN, is a missing value, and given as NaN
  std::vector<std::string> columns = {};  // the ones to read, by name or number from 0; empty: all
};

// A table that is being read. All numbers it gives are finite, missing ones aside; anything else is
// an error that names the file, and where there are such the line (from 1) and the field (from 1).
class TableReader {
 public:
  virtual ~TableReader() = default;

  // Names of the columns that are read; empty where the file has none.
  const std::vector<std::string>& column_names() const { return column_names_; }

  // Number of columns that are read, at least 1.
  int cols() const { return cols_; }

  // Number of rows, where it is known without reading them.
  std::optional<std::int64_t> rows() const { return rows_; }

  // The size of the images that the first columns are; nothing for tables that are not images.
  const std::optional<ImageShape>& image_shape() const { return image_shape_; }

  // The next rows, at most `max_rows` (at least 1); none at the end.
  virtual absl::StatusOr<client::Table> Read(std::int64_t max_rows) = 0;

  // Where row `row`, counted from 0, stands: "rows.csv:12" or "rows.npy, row 11".
  virtual std::string Location(std::int64_t row) const = 0;

 protected:
  client::Table EmptyTable() const { return {column_names_, 0, cols_, {}}; }

  std::vector<std::string> column_names_;
  int cols_ = 0;
  std::optional<std::int64_t> rows_;
  std::optional<ImageShape> image_shape_;
};

// Opens a CSV, NPY or IDX file (plain or gzip), an NPZ archive, a PNG file or a folder of them,
// told by the content; "-" is standard input (CSV, NPY or IDX). An error for a table without rows
// or columns.
absl::StatusOr<std::unique_ptr<TableReader>> OpenTable(const std::string& path,
                                                       const ReadOptions& options);

// Positions of the wanted columns, by name or number, among `names` or, where there are none,
// `cols` nameless columns; all of them for an empty `wanted`. The message does not name the file.
absl::StatusOr<std::vector<int>> ResolveColumns(const std::vector<std::string>& wanted,
                                                const std::vector<std::string>& names, int cols);

// The names of a table's columns: its own, or x0, x1, …
std::vector<std::string> NamesOf(const std::vector<std::string>& names, int cols);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_TABLE_READER_H_
