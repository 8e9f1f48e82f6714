// SPDX-License-Identifier: Apache-2.0
// millrace manipulate
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/column_split.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/condition_flags.h"
#include "client/cli/commands/picture_flags.h"
#include "client/cli/io/number.h"
#include "client/status.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  InputFlags input;
  OutputFlags output;
  GivenFlag given;
  PictureFlags picture;
  client::ManipulateOptions options;
};

struct Plan {
  client::ModelRef model;
  ColumnSplit split;
  std::optional<ImageShape> picture;  // of such images; else a table
};

double AmountOf(const Flags& flags, std::int64_t r) {
  const std::vector<double>& amounts = flags.options.amounts;
  return amounts[static_cast<std::size_t>(r) % amounts.size()];
}

absl::Status WriteTable(const Flags& flags, const client::ManipulateResult& result,
                        std::unique_ptr<TableWriter>& writer) {
  if (!writer) {
    std::vector<OutputColumn> columns = {{"amount"}};
    for (std::string& name : NamesOf(result.rows.column_names, result.rows.cols))
      columns.push_back({std::move(name)});
    columns.push_back({"log_prob"});
    auto opened = flags.output.Open(std::move(columns));
    if (!opened.ok()) return opened.status();
    writer = *std::move(opened);
  }
  std::vector<double> values;
  for (std::int64_t r = 0; r < result.rows.rows; ++r) {
    values.push_back(AmountOf(flags, r));
    values.insert(values.end(), result.rows.row(r).begin(), result.rows.row(r).end());
    values.push_back(result.log_prob[static_cast<std::size_t>(r)]);
  }
  return writer->Write(values);
}

absl::StatusOr<client::ManipulateResult> Move(const Flags& flags, const client::Client& client,
                                              const Plan& plan, const client::Table& piece,
                                              const TableReader& reader, std::int64_t first) {
  auto result = client.Manipulate(plan.model, plan.split.Rows(piece), flags.options,
                                  plan.split.Context(piece));
  if (result.ok()) return result;
  const auto detail = client::ErrorDetailOf(result.status());
  const bool of_rows = detail && detail->field() == "rows";
  return of_rows ? Locate(result.status(), reader, first) : result.status();
}

absl::Status MoveTable(const Flags& flags, const client::Client& client, const Plan& plan,
                       TableReader& reader) {
  std::unique_ptr<TableWriter> writer;
  for (std::int64_t first = 0;;) {
    const auto piece = reader.Read(kRowsPerPiece);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) return writer ? writer->Close() : absl::OkStatus();
    const auto result = Move(flags, client, plan, *piece, reader, first);
    if (!result.ok()) return result.status();
    if (absl::Status status = WriteTable(flags, *result, writer); !status.ok()) return status;
    first += piece->rows;
  }
}

// A line of images for a row, one for each amount; on standard output their log-densities.
absl::Status MovePicture(const Flags& flags, const client::Client& client, const Plan& plan,
                         TableReader& reader) {
  const int amounts = static_cast<int>(flags.options.amounts.size());
  auto picture = flags.picture.Open(flags.output, *plan.picture, 0, amounts);
  if (!picture.ok()) return picture.status();
  const auto table = flags.picture.Read(reader, flags.output, *plan.picture, amounts);
  if (!table.ok()) return table.status();
  const std::int64_t rows_at_once = std::max<std::int64_t>(1, kRowsPerPiece / amounts);
  std::vector<double> figures;
  for (std::int64_t first = 0; first < table->rows; first += rows_at_once) {
    const client::Table piece = Slice(*table, first, std::min(rows_at_once, table->rows - first));
    const auto result = Move(flags, client, plan, piece, reader, first);
    if (!result.ok()) return result.status();
    if (absl::Status status = Show(result->rows, *plan.picture, **picture); !status.ok())
      return status;
    for (std::int64_t r = 0; r < result->rows.rows; ++r)
      figures.insert(figures.end(),
                     {static_cast<double>(flags.input.rows.begin + first + r / amounts),
                      AmountOf(flags, r), result->log_prob[static_cast<std::size_t>(r)]});
  }
  if (absl::Status status = (*picture)->Close(); !status.ok()) return status;
  return Tell({{"row"}, {"amount"}, {"log_prob"}}, figures);
}

absl::Status Run(const Flags& flags) {
  const auto picture = flags.picture.Wanted(flags.output);
  if (!picture.ok()) return picture.status();
  auto reader = flags.input.Open();
  if (!reader.ok()) return reader.status();
  const client::Client client(flags.server.options);
  const auto model = client.GetModel(flags.model.model);
  if (!model.ok()) return model.status();
  auto split =
      ColumnSplit::For(*model, (*reader)->column_names(), (*reader)->cols(), flags.given.context);
  if (!split.ok()) return split.status();
  Plan plan{{model->name(), model->version()}, *std::move(split), {}};
  if (!*picture) return MoveTable(flags, client, plan, **reader);
  const auto shape =
      flags.picture.ShapeFor(plan.split.row_cols(), *model, (*reader)->image_shape());
  if (!shape.ok()) return shape.status();
  plan.picture = *shape;
  return MovePicture(flags, client, plan, **reader);
}

}  // namespace

void AddManipulateCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "manipulate", "Move rows through latent space along an attribute of the model");
  flags->model.AddTo(*command);
  flags->input.AddTo(*command);
  flags->input.AddRowsTo(*command);
  command->add_option("--attribute", flags->options.attribute, "Name of the attribute")
      ->type_name("NAME")
      ->required();
  auto amounts = std::make_shared<std::vector<double>>();
  AddList(*command, "--amount", "How far: multiples of the attribute's vector; default: 1", "A,...",
          [flags, amounts](const std::string& text) -> std::string {
            double amount = 0.0;
            if (!ParseNumber(text, amount) || !std::isfinite(amount))
              return absl::StrCat("has ", Quote(text), ", not a number");
            amounts->push_back(amount);
            flags->options.amounts = *amounts;
            return "";
          });
  flags->given.AddTo(*command, "The conditions of all rows, instead of those in the file");
  flags->server.AddTo(*command);
  flags->output.AddTo(*command);
  flags->picture.AddTo(*command, "default: that of the input's images, or of the model's",
                       "default: a line for each row, an image for each amount");
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
