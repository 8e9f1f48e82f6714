// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/column_split.h"

#include <algorithm>
#include <cstddef>
#include <unordered_map>

#include "absl/strings/str_cat.h"

namespace millrace::cli {
namespace {

bool IsCondition(const v1::Column& column) {
  return column.spec().role() == v1::COLUMN_ROLE_CONDITION;
}

// The columns of `names` that are those of the model's conditions, in the model's order.
absl::StatusOr<std::vector<int>> ConditionsAmong(const v1::Model& model,
                                                 const std::vector<std::string>& names) {
  std::vector<int> found;
  for (const v1::Column& column : model.columns()) {
    if (!IsCondition(column)) continue;
    const auto name = std::find(names.begin(), names.end(), column.spec().name());
    if (name == names.end())
      return absl::InvalidArgumentError(absl::StrCat("the table has no column '",
                                                     column.spec().name(),
                                                     "', a condition of model ", model.name()));
    found.push_back(static_cast<int>(name - names.begin()));
  }
  return found;
}

// The model's order; what it does not know comes last.
void Sort(const v1::Model& model, const std::vector<std::string>& names,
          std::vector<int>& columns) {
  std::unordered_map<std::string, int> positions;
  for (int c = 0; c < model.columns_size(); ++c)
    positions.emplace(model.columns(c).spec().name(), c);
  const auto position = [&](int column) {
    const auto found = positions.find(names[static_cast<std::size_t>(column)]);
    return found == positions.end() ? model.columns_size() : found->second;
  };
  std::ranges::stable_sort(columns, {}, position);
}

client::Table Pick(const client::Table& table, const std::vector<int>& columns) {
  client::Table out{{}, table.rows, static_cast<int>(columns.size()), {}};
  if (!table.column_names.empty()) {
    for (const int c : columns)
      out.column_names.push_back(table.column_names[static_cast<std::size_t>(c)]);
  }
  out.values.reserve(columns.size() * static_cast<std::size_t>(table.rows));
  for (std::int64_t r = 0; r < table.rows; ++r)
    for (const int c : columns) out.values.push_back(table(r, c));
  return out;
}

}  // namespace

absl::StatusOr<ColumnSplit> ColumnSplit::For(const v1::Model& model,
                                             const std::vector<std::string>& names, int cols,
                                             const client::Table& given) {
  ColumnSplit split;
  if (given.cols > 0) split.given_ = given;
  const auto role_of = [&](int c) -> bool {
    if (names.empty()) return cols == model.columns_size() && IsCondition(model.columns(c));
    const std::string& name = names[static_cast<std::size_t>(c)];
    return std::any_of(model.columns().begin(), model.columns().end(), [&](const auto& column) {
      return IsCondition(column) && column.spec().name() == name;
    });
  };
  for (int c = 0; c < cols; ++c) (role_of(c) ? split.context_ : split.rows_).push_back(c);
  if (!names.empty()) Sort(model, names, split.rows_);
  if (split.given_) return split;
  const auto conditions =
      std::count_if(model.columns().begin(), model.columns().end(), IsCondition);
  if (conditions == std::ssize(split.context_)) return split;
  if (!names.empty()) {
    if (const auto missing = ConditionsAmong(model, names); !missing.ok()) return missing.status();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the table has ", cols, " nameless columns; model ", model.name(), " was trained on ",
      model.columns_size(), ", ", conditions, " of them conditions"));
}

client::Table ColumnSplit::Rows(const client::Table& piece) const { return Pick(piece, rows_); }

client::Table ColumnSplit::Context(const client::Table& piece) const {
  if (given_) return *given_;
  return context_.empty() ? client::Table() : Pick(piece, context_);
}

absl::StatusOr<ColumnSplit> SplitFor(const client::Client& client, client::ModelRef& model,
                                     const std::vector<std::string>& names, int cols,
                                     const client::Table& given) {
  const auto described = client.GetModel(model);
  if (!described.ok()) return described.status();
  model.version = described->version();
  return ColumnSplit::For(*described, names, cols, given);
}

absl::StatusOr<client::Table> PickContext(const v1::Model& model, const client::Table& table) {
  if (!table.column_names.empty()) {
    const auto columns = ConditionsAmong(model, table.column_names);
    if (!columns.ok()) return columns.status();
    return Pick(table, *columns);
  }
  std::vector<int> columns;
  for (int c = 0; c < model.columns_size(); ++c) {
    if (IsCondition(model.columns(c))) columns.push_back(c);
  }
  if (table.cols == model.columns_size()) return Pick(table, columns);
  if (table.cols == static_cast<int>(columns.size())) return table;
  return absl::InvalidArgumentError(
      absl::StrCat("the conditions have ", table.cols, " nameless columns; model ", model.name(),
                   " has ", columns.size(), " conditions and ", model.columns_size(), " columns"));
}

client::Table Join(const v1::Model& model, const client::Table& rows, std::uint64_t first_row,
                   const client::Table& context, std::uint64_t count) {
  client::Table out{{}, rows.rows, model.columns_size(), {}};
  for (const v1::Column& column : model.columns()) out.column_names.push_back(column.spec().name());
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    const auto condition =
        static_cast<std::int64_t>((first_row + static_cast<std::uint64_t>(r)) / count);
    int next_row = 0, next_condition = 0;
    for (const v1::Column& column : model.columns())
      out.values.push_back(IsCondition(column) ? context(condition, next_condition++)
                                               : rows(r, next_row++));
  }
  return out;
}

}  // namespace millrace::cli
