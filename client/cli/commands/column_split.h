// SPDX-License-Identifier: Apache-2.0
// Tables that hold rows x and conditions c of a model p(x | c) side by side.
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_COLUMN_SPLIT_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_COLUMN_SPLIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/table.h"

namespace millrace::cli {

// Takes a table apart by the roles of a model's columns. With a model that has no conditions, all
// columns are rows.
class ColumnSplit {
 public:
  // For a table with these columns, `names` being empty for nameless ones. Named columns are told
  // by name, nameless ones by position: as many as the training table had. `given` is a context
  // from elsewhere, or empty; the table's own conditions, which it may then lack, are left aside.
  // INVALID_ARGUMENT where the table lacks a condition.
  static absl::StatusOr<ColumnSplit> For(const v1::Model& model,
                                         const std::vector<std::string>& names, int cols,
                                         const client::Table& given);

  // How many columns rows have.
  int row_cols() const { return static_cast<int>(rows_.size()); }
  // Those of a piece, in the model's order.
  client::Table Rows(const client::Table& piece) const;
  // Those of a piece, or what was given.
  client::Table Context(const client::Table& piece) const;

 private:
  std::vector<int> rows_, context_;  // columns of the table
  std::optional<client::Table> given_;
};

// Asks the server about the model, sets the version to the one described, and splits a table.
absl::StatusOr<ColumnSplit> SplitFor(const client::Client& client, client::ModelRef& model,
                                     const std::vector<std::string>& names, int cols,
                                     const client::Table& given);

// The model's conditions, in its order, from a table that may hold other columns beside them if it
// has names, or all columns of the training table. INVALID_ARGUMENT for any other width.
absl::StatusOr<client::Table> PickContext(const v1::Model& model, const client::Table& table);

// `rows` with the conditions they were drawn under, `count` rows under each row of a picked context
// in turn, in the order of the training table; rows.row(0) is the first_row-th of all. Together
// they have as many columns as the model.
client::Table Join(const v1::Model& model, const client::Table& rows, std::uint64_t first_row,
                   const client::Table& context, std::uint64_t count);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_COLUMN_SPLIT_H_
