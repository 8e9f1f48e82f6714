// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_IO_PNG_READER_H_
#define MILLRACE_CLIENT_CLI_IO_PNG_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/io/png_file.h"
#include "client/cli/io/table_reader.h"

namespace millrace::cli {

// PNG files as the rows of a table, opened one after the other. All are of the size of the first;
// png_file.h says which are read.
class PngReader : public TableReader {
 public:
  // One file at least.
  static absl::StatusOr<std::unique_ptr<TableReader>> Open(std::vector<std::string> files,
                                                           const ReadOptions& options);

  // The files of a folder whose names end in .png, in the order of the bytes of their names. Other
  // files, hidden ones and subfolders are left aside.
  static absl::StatusOr<std::unique_ptr<TableReader>> OpenFolder(const std::string& path,
                                                                 const ReadOptions& options);

  absl::StatusOr<client::Table> Read(std::int64_t max_rows) override;
  std::string Location(std::int64_t row) const override;

 private:
  explicit PngReader(std::vector<std::string> files) : files_(std::move(files)) {}

  std::vector<std::string> files_;
  ImageShape shape_;  // of all files
  std::vector<int> positions_;
  std::size_t next_ = 0;
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_PNG_READER_H_
