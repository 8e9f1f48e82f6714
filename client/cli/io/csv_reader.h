// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_IO_CSV_READER_H_
#define MILLRACE_CLIENT_CLI_IO_CSV_READER_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/cli/io/input.h"
#include "client/cli/io/table_reader.h"

namespace millrace::cli {

// Comma-separated values as RFC 4180 has them: fields may be quoted, "" is a quote in a quoted
// field, and a quote anywhere else is an error. Lines end in LF or CRLF, a UTF-8 byte order mark is
// skipped, and so are empty lines at the end. Columns that are not read may hold any field.
class CsvReader : public TableReader {
 public:
  static absl::StatusOr<std::unique_ptr<TableReader>> Open(Input input, const ReadOptions& options);

  absl::StatusOr<client::Table> Read(std::int64_t max_rows) override;
  std::string Location(std::int64_t row) const override;

 private:
  CsvReader(Input input, char delimiter) : input_(std::move(input)), delimiter_(delimiter) {}

  // Takes the next record into fields_; false at the end. record_line_ is its line.
  absl::StatusOr<bool> NextRecord();
  std::string& NewField();
  // Both for a record with quotes: its fields; the field whose opening quote is line_[i], `i` moved
  // behind the closing one.
  absl::Status SplitQuoted();
  absl::Status TakeQuoted(std::size_t& i, std::string& field);
  // Of line_, from i on: blanks may stand around a quoted field.
  std::size_t AfterBlanks(std::size_t i) const;
  absl::Status Start(const ReadOptions& options);
  absl::Status AppendRecord(std::vector<double>& values);
  // `what` follows the field's text.
  absl::Status FieldError(int column, std::string_view what) const;

  Input input_;
  char delimiter_;
  std::string line_;
  std::vector<std::string> fields_;  // grows only; the record's are the first field_count_
  int field_count_ = 0;
  std::int64_t lines_read_ = 0;
  std::int64_t record_line_ = 0;
  std::int64_t rows_read_ = 0;
  // Line of row first; rows after it stand one line apart up to the next entry. A new entry after
  // each row that goes over several lines.
  std::vector<std::pair<std::int64_t, std::int64_t>> row_lines_;
  bool missing_ = false;        // ReadOptions::missing
  bool pending_ = false;        // the record in fields_ is a row that is not yet given out
  std::vector<int> positions_;  // of the columns that are read
  std::vector<std::string> all_names_;
  int all_cols_ = 0;
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_CSV_READER_H_
