// SPDX-License-Identifier: Apache-2.0
// millrace attribute
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/column_split.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/condition_flags.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/number.h"
#include "client/status.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  InputFlags input;
  GivenFlag given;
  std::string attribute;
  std::string without;  // a file; empty: rows are told apart by a column
  std::string label;
  double value = 0.0;
  bool has_value = false;
};

absl::StatusOr<client::Table> ReadAll(TableReader& reader) {
  client::Table all{reader.column_names(), 0, reader.cols(), {}};
  while (true) {
    const auto piece = reader.Read(kRowsPerPiece);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) return all;
    all.rows += piece->rows;
    all.values.insert(all.values.end(), piece->values.begin(), piece->values.end());
  }
}

// Rows of a file, taken apart, and which of the file they are.
struct Side {
  std::unique_ptr<TableReader> reader;  // null: the other side's
  client::Table rows;
  std::vector<std::int64_t> numbers;
};

absl::StatusOr<Side> ReadSide(absl::StatusOr<std::unique_ptr<TableReader>> reader) {
  if (!reader.ok()) return reader.status();
  auto rows = ReadAll(**reader);
  if (!rows.ok()) return rows.status();
  Side side{*std::move(reader), *std::move(rows), {}};
  for (std::int64_t r = 0; r < side.rows.rows; ++r) side.numbers.push_back(r);
  return side;
}

// The rows of a table where column `label` is or is not as wanted, without that column unless it is
// one of the model's.
Side Choose(const Side& all, int label, bool keep_label, const Flags& flags, bool with) {
  Side side;
  const client::Table& from = all.rows;
  const auto keep = [&](int c) { return c != label || keep_label; };
  for (int c = 0; c < from.cols; ++c) {
    if (!keep(c)) continue;
    ++side.rows.cols;
    if (!from.column_names.empty())
      side.rows.column_names.push_back(from.column_names[static_cast<std::size_t>(c)]);
  }
  for (std::int64_t r = 0; r < from.rows; ++r) {
    const double value = from(r, label);
    if ((flags.has_value ? value == flags.value : value != 0.0) != with) continue;
    ++side.rows.rows;
    side.numbers.push_back(r);
    for (int c = 0; c < from.cols; ++c)
      if (keep(c)) side.rows.values.push_back(from(r, c));
  }
  return side;
}

absl::Status CheckSides(const Flags& flags, const Side& with, const Side& without) {
  if (with.rows.rows > 0 && without.rows.rows > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("column '", flags.label, "' tells no rows apart: ", with.rows.rows,
                   " have the attribute, ", without.rows.rows, " have it not"));
}

bool HasColumn(const v1::Model& model, const std::string& name) {
  return std::any_of(model.columns().begin(), model.columns().end(),
                     [&](const v1::Column& column) { return column.spec().name() == name; });
}

// The two sets of rows, of one file or of two.
absl::StatusOr<std::pair<Side, Side>> ReadSides(const Flags& flags, const v1::Model& model) {
  auto with = ReadSide(flags.input.Open());
  if (!with.ok()) return with.status();
  if (!flags.without.empty()) {
    auto without = ReadSide(OpenTable(flags.without, flags.input.options));
    if (!without.ok()) return without.status();
    return std::pair(*std::move(with), *std::move(without));
  }
  const auto label = ResolveColumns({flags.label}, with->rows.column_names, with->rows.cols);
  if (!label.ok()) return FileError(flags.input.path, std::string(label.status().message()));
  const int column = label->front();
  const bool keep = !with->rows.column_names.empty() &&
                    HasColumn(model, with->rows.column_names[static_cast<std::size_t>(column)]);
  Side chosen = Choose(*with, column, keep, flags, true);
  Side others = Choose(*with, column, keep, flags, false);
  if (absl::Status status = CheckSides(flags, chosen, others); !status.ok()) return status;
  chosen.reader = std::move(with->reader);
  return std::pair(std::move(chosen), std::move(others));
}

// Where the row that the server found at fault stands.
absl::Status LocateSide(const absl::Status& status, const Side& with, const Side& without) {
  const auto detail = client::ErrorDetailOf(status);
  const bool other = detail && detail->field().ends_with("_without");
  const Side& side = other ? without : with;
  return Locate(status, other && without.reader ? *without.reader : *with.reader, side.numbers);
}

absl::Status Run(const Flags& flags) {
  const client::Client client(flags.server.options);
  const auto model = client.GetModel(flags.model.model);
  if (!model.ok()) return model.status();
  auto sides = ReadSides(flags, *model);
  if (!sides.ok()) return sides.status();
  auto& [with, without] = *sides;
  client::AttributeRows rows;
  for (const auto& [side, table, context] :
       {std::tuple(&with, &rows.with, &rows.context_with),
        std::tuple(&without, &rows.without, &rows.context_without)}) {
    const auto split =
        ColumnSplit::For(*model, side->rows.column_names, side->rows.cols, flags.given.context);
    if (!split.ok()) return split.status();
    *table = split->Rows(side->rows);
    *context = split->Context(side->rows);
    side->rows = {};  // held once while they are encoded
  }
  const auto created =
      client.CreateAttributeVector({model->name(), model->version()}, flags.attribute, rows);
  if (!created.ok()) return LocateSide(created.status(), with, without);
  double squares = 0.0;
  for (const double v : created->attribute().vector()) squares += v * v;
  std::cout << "model " << created->name() << " version " << created->version() << '\n'
            << "attribute " << created->attribute().name() << ", " << rows.with.rows
            << " rows with it, " << rows.without.rows << " without, length "
            << FormatNumber(std::sqrt(squares)) << '\n';
  return absl::OkStatus();
}

}  // namespace

void AddAttributeCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "attribute",
      "Find the direction in latent space that an attribute of rows has, and publish the model "
      "with it as its next version");
  flags->model.AddTo(*command);
  command->add_option("NAME", flags->attribute, "Name of the attribute")->type_name("")->required();
  flags->input.AddTo(*command);
  flags->input.AddRowsTo(*command);
  CLI::Option_group* apart = command->add_option_group("Attribute");
  apart->require_option(1);
  apart
      ->add_option("--without", flags->without,
                   "Table of rows without the attribute; FILE then holds those with it")
      ->type_name("FILE");
  CLI::Option* label =
      apart
          ->add_option(
              "--label", flags->label,
              "Column of FILE, by name or number, that is not 0 in rows with the attribute")
          ->type_name("COLUMN");
  command
      ->add_option_function<std::string>(
          "--equals", [](const std::string&) {},
          "Of --label: the value that rows with the attribute have")
      ->check([flags](const std::string& text) -> std::string {
        flags->has_value = ParseNumber(text, flags->value);
        return flags->has_value ? "" : "is not a number";
      })
      ->type_name("VALUE")
      ->needs(label);
  flags->given.AddTo(*command, "The conditions of all rows, instead of those in the files");
  flags->server.AddTo(*command);
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
