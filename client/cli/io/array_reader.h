// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_IO_ARRAY_READER_H_
#define MILLRACE_CLIENT_CLI_IO_ARRAY_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/io/array_header.h"
#include "client/cli/io/input.h"
#include "client/cli/io/table_reader.h"

namespace millrace::cli {

// Arrays of rows: of one dimension (taken as one column), two, or three or four, whose rows are
// images. Memory grows with what the file holds, never with what its header declares; an array in
// Fortran order is held as a whole.
class ArrayReader : public TableReader {
 public:
  static absl::StatusOr<std::unique_ptr<TableReader>> OpenNpy(Input input,
                                                              const ReadOptions& options);
  static absl::StatusOr<std::unique_ptr<TableReader>> OpenIdx(Input input,
                                                              const ReadOptions& options);

  absl::StatusOr<client::Table> Read(std::int64_t max_rows) override;
  std::string Location(std::int64_t row) const override;

 private:
  ArrayReader(Input input, ArrayHeader header)
      : input_(std::move(input)), header_(std::move(header)) {}
  static absl::StatusOr<std::unique_ptr<TableReader>> Open(Input input, ArrayHeader header,
                                                           const ReadOptions& options);
  absl::Status Start(const ReadOptions& options);

  // The next `count` elements in the file's order.
  absl::Status ReadElements(std::int64_t count, std::vector<double>& out);
  absl::Status LoadFortran();
  // At the end of the array: the archive's checksum is verified by reading on.
  absl::Status CheckEnd();

  Input input_;
  ArrayHeader header_;
  bool missing_ = false;               // ReadOptions::missing
  std::vector<int> positions_;         // of the columns that are read, within a row
  std::vector<std::int64_t> offsets_;  // theirs in elements_, from the row's beginning
  std::int64_t rows_read_ = 0;
  std::vector<char> bytes_;
  std::vector<double> elements_;  // of the rows at hand; the whole array in Fortran order
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_ARRAY_READER_H_
