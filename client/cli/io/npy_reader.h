// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_IO_NPY_READER_H_
#define MILLRACE_CLIENT_CLI_IO_NPY_READER_H_

#include <memory>
#include <string>
#include <vector>

#include "client/cli/io/input.h"
#include "client/cli/io/npy_header.h"
#include "client/cli/io/table_reader.h"

namespace millrace::cli {

// Arrays of one (taken as one column) or two dimensions. Memory grows with what the file holds,
// never with what its header declares; an array in Fortran order is held as a whole.
class NpyReader : public TableReader {
 public:
  static absl::StatusOr<std::unique_ptr<TableReader>> Open(Input input, const ReadOptions& options);

  absl::StatusOr<client::Table> Read(std::int64_t max_rows) override;
  std::string Location(std::int64_t row) const override;

 private:
  NpyReader(Input input, NpyHeader header) : input_(std::move(input)), header_(header) {}

  // The next `count` elements in the file's order.
  absl::Status ReadElements(std::int64_t count, std::vector<double>& out);
  absl::Status LoadFortran();
  // At the end of the array: the archive's checksum is verified by reading on.
  absl::Status CheckEnd();

  Input input_;
  NpyHeader header_;
  std::vector<int> positions_;
  std::int64_t rows_read_ = 0;
  std::vector<char> bytes_;
  std::vector<double> elements_;  // of the rows at hand; the whole array in Fortran order
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_NPY_READER_H_
