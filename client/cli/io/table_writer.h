// SPDX-License-Identifier: Apache-2.0
// Tables to files, written piece by piece.
#ifndef MILLRACE_CLIENT_CLI_IO_TABLE_WRITER_H_
#define MILLRACE_CLIENT_CLI_IO_TABLE_WRITER_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace::cli {

enum class Format {
  kAuto,  // by the name's end: .npy, .jsonl or .json, else CSV
  kCsv,   // a header line, then one line a row; shortest decimals that read back the same
  kNpy,   // one array of doubles [rows, columns]; flags are 0 and 1; held in memory until Close
  kJsonLines,  // one object a row; numbers that are not finite are null
};

struct OutputColumn {
  std::string name;
  bool is_flag = false;  // 0 or 1; true and false in JSON
};

class TableWriter {
 public:
  virtual ~TableWriter() = default;

  // Adds rows, row-major; values.size() is a multiple of the number of columns.
  virtual absl::Status Write(std::span<const double> values) = 0;

  // Completes the file. Call once, last; a file that was not closed is incomplete.
  virtual absl::Status Close() = 0;
};

// A writer to a file, replaced if it is there, or to standard output for "-". Errors name the path.
absl::StatusOr<std::unique_ptr<TableWriter>> OpenWriter(const std::string& path, Format format,
                                                        std::vector<OutputColumn> columns);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_TABLE_WRITER_H_
