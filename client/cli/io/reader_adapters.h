// SPDX-License-Identifier: Apache-2.0
// Readers made of others. `name` is what errors call a file.
#ifndef MILLRACE_CLIENT_CLI_IO_READER_ADAPTERS_H_
#define MILLRACE_CLIENT_CLI_IO_READER_ADAPTERS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/io/table_reader.h"

namespace millrace::cli {

struct NamedReader {
  std::string name;
  std::unique_ptr<TableReader> reader;
};

// The rows with one more column, "label", which is the only one of `labels`. Nameless columns
// become x0, x1, …. An error where there are not as many labels as rows: at once where both numbers
// are known, else at the end.
absl::StatusOr<std::unique_ptr<TableReader>> JoinLabels(NamedReader rows, NamedReader labels);

// Rows begin to end - 1, counted from 0; to the last one where there is no end.
struct RowRange {
  std::int64_t begin = 0;
  std::optional<std::int64_t> end = std::nullopt;
};

// From "BEGIN:END", either of which may be left out. The message says what is wrong, and no more.
absl::StatusOr<RowRange> ParseRowRange(const std::string& text);

// Those of the rows. An error where they end before the range does.
absl::StatusOr<std::unique_ptr<TableReader>> TakeRows(NamedReader rows, const RowRange& range);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_READER_ADAPTERS_H_
