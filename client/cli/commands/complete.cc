// SPDX-License-Identifier: Apache-2.0
// millrace complete
#include <unistd.h>

#include <cstdint>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands/column_split.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/condition_flags.h"
#include "client/cli/commands/hole.h"
#include "client/cli/commands/picture_flags.h"
#include "client/cli/commands/progress.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  InputFlags input;
  OutputFlags output;
  GivenFlag given;
  PictureFlags picture;
  std::optional<Hole> hole;
  client::CompleteOptions options;
};

// What is done with every piece of the table.
struct Plan {
  client::ModelRef model;
  ColumnSplit split;
  std::optional<ImageShape> picture;  // of such images; else a table
  std::vector<int> missing;           // columns that are taken out
};

client::RowsPiece TakeApart(const Plan& plan, const client::Table& piece) {
  client::RowsPiece parts = {plan.split.Rows(piece), plan.split.Context(piece)};
  TakeOut(plan.missing, parts.rows);
  return parts;
}

absl::StatusOr<Plan> PlanFor(const Flags& flags, const client::Client& client,
                             const TableReader& reader) {
  const auto picture = flags.picture.Wanted(flags.output, flags.hole.has_value());
  if (!picture.ok()) return picture.status();
  const auto model = client.GetModel(flags.model.model);
  if (!model.ok()) return model.status();
  auto split = ColumnSplit::For(*model, reader.column_names(), reader.cols(), flags.given.context);
  if (!split.ok()) return split.status();
  Plan plan{{model->name(), model->version()}, *std::move(split), {}, {}};
  if (!*picture && !flags.hole) return plan;
  const auto shape = flags.picture.ShapeFor(plan.split.row_cols(), *model, reader.image_shape());
  if (!shape.ok()) return shape.status();
  if (*picture) plan.picture = *shape;
  if (!flags.hole) return plan;
  auto missing = ColumnsOf(*flags.hole, *shape);
  if (!missing.ok()) return missing.status();
  plan.missing = *std::move(missing);
  return plan;
}

double AsNumber(bool flag) { return flag ? 1.0 : 0.0; }

// What is known of a completion besides its values.
std::vector<OutputColumn> FigureColumns(bool drawn) {
  if (drawn) return {{"log_prob"}, {"acceptance_rate"}};
  return {{"log_prob"}, {"converged", true}};
}

void AddFigures(const client::CompleteResult& result, std::size_t i, bool drawn,
                std::vector<double>& values) {
  values.push_back(result.log_prob[i]);
  values.push_back(drawn ? result.acceptance_rate[i] : AsNumber(result.converged[i]));
}

absl::Status WriteTable(const Flags& flags, const client::CompleteResult& result,
                        std::unique_ptr<TableWriter>& writer) {
  const bool drawn = flags.options.draws > 0;
  if (!writer) {
    std::vector<OutputColumn> columns;
    for (std::string& name : NamesOf(result.rows.column_names, result.rows.cols))
      columns.push_back({std::move(name)});
    for (OutputColumn& column : FigureColumns(drawn)) columns.push_back(std::move(column));
    auto opened = flags.output.Open(std::move(columns));
    if (!opened.ok()) return opened.status();
    writer = *std::move(opened);
  }
  std::vector<double> values;
  for (std::int64_t r = 0; r < result.rows.rows; ++r) {
    values.insert(values.end(), result.rows.row(r).begin(), result.rows.row(r).end());
    AddFigures(result, static_cast<std::size_t>(r), drawn, values);
  }
  return writer->Write(values);
}

absl::Status CompleteTable(const Flags& flags, const client::Client& client, const Plan& plan,
                           TableReader& reader) {
  client::CompleteOptions options = flags.options;
  std::unique_ptr<TableWriter> writer;
  while (true) {
    const auto piece = reader.Read(kRowsPerPiece);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) return writer ? writer->Close() : absl::OkStatus();
    const auto [rows, context] = TakeApart(plan, *piece);
    const auto result = client.Complete(plan.model, rows, options, context);
    if (!result.ok())
      return Locate(result.status(), reader, static_cast<std::int64_t>(options.first_row));
    if (absl::Status status = WriteTable(flags, *result, writer); !status.ok()) return status;
    options.first_row += static_cast<std::uint64_t>(piece->rows);
  }
}

// A line of images for a row: as it is, its most likely completion, those that were drawn. What is
// known of each completion goes to `figures`: the row, the draw (0: the most likely), its
// log-density, the acceptance rate of its chain and whether it converged, NaN where it has none.
absl::Status ShowRow(const Flags& flags, const client::Client& client, const Plan& plan,
                     const client::RowsPiece& row, client::CompleteOptions options,
                     TableWriter& picture, std::vector<double>& figures) {
  const auto number =
      static_cast<double>(flags.input.rows.begin + static_cast<std::int64_t>(options.first_row));
  if (absl::Status status = Show(row.rows, *plan.picture, picture); !status.ok()) return status;
  for (const bool drawn : {false, true}) {
    if (drawn && flags.options.draws == 0) break;
    options.draws = drawn ? flags.options.draws : 0;
    const auto result = client.Complete(plan.model, row.rows, options, row.context);
    if (!result.ok()) return result.status();
    if (absl::Status status = Show(result->rows, *plan.picture, picture); !status.ok())
      return status;
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    for (std::size_t i = 0; i < result->log_prob.size(); ++i) {
      figures.insert(figures.end(), {number, drawn ? i + 1.0 : 0.0, result->log_prob[i],
                                     drawn ? result->acceptance_rate[i] : kNone,
                                     drawn ? kNone : AsNumber(result->converged[i])});
    }
  }
  return absl::OkStatus();
}

// Row `r` with its condition: its own, or the one of all.
client::RowsPiece RowOf(const client::RowsPiece& piece, std::int64_t r) {
  return {Slice(piece.rows, r, 1),
          piece.context.rows > 1 ? Slice(piece.context, r, 1) : piece.context};
}

absl::Status ShowRows(const Flags& flags, const client::Client& client, const Plan& plan,
                      const client::RowsPiece& piece, const TableReader& reader,
                      TableWriter& picture, std::vector<double>& figures) {
  RowProgress progress(std::cerr, isatty(STDERR_FILENO) != 0, absl::Now(), "completed");
  client::CompleteOptions options = flags.options;
  for (std::int64_t r = 0; r < piece.rows.rows; ++r) {
    options.first_row = static_cast<std::uint64_t>(r);
    const absl::Status status =
        ShowRow(flags, client, plan, RowOf(piece, r), options, picture, figures);
    if (!status.ok()) return Locate(status, reader, r);
    progress.Print(r + 1, absl::Now());
  }
  return absl::OkStatus();
}

absl::Status CompletePicture(const Flags& flags, const client::Client& client, const Plan& plan,
                             TableReader& reader) {
  const int images = 2 + flags.options.draws;
  auto picture = flags.picture.Open(flags.output, *plan.picture, 0, images);
  if (!picture.ok()) return picture.status();
  const auto table = flags.picture.Read(reader, flags.output, *plan.picture, images);
  if (!table.ok()) return table.status();
  const client::RowsPiece piece = TakeApart(plan, *table);
  if (!HasMissing(piece.rows))
    return absl::InvalidArgumentError(
        absl::StrCat(reader.Location(0), ": nothing is missing in ", piece.rows.rows,
                     " images from here on; name what is to be completed with --missing"));
  std::vector<double> figures;
  absl::Status status = ShowRows(flags, client, plan, piece, reader, **picture, figures);
  if (status.ok()) status = (*picture)->Close();
  if (!status.ok()) return status;
  return Tell({{"row"}, {"draw"}, {"log_prob"}, {"acceptance_rate"}, {"converged"}}, figures);
}

absl::Status Run(const Flags& flags) {
  InputFlags input = flags.input;
  input.options.missing = true;
  auto reader = input.Open();
  if (!reader.ok()) return reader.status();
  const client::Client client(flags.server.options);
  const auto plan = PlanFor(flags, client, **reader);
  if (!plan.ok()) return plan.status();
  return plan->picture ? CompletePicture(flags, client, *plan, **reader)
                       : CompleteTable(flags, client, *plan, **reader);
}

}  // namespace

void AddCompleteCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "complete", "Fill in missing values: empty fields of a CSV, NaN, or a part of images");
  flags->model.AddTo(*command);
  flags->input.AddTo(*command);
  flags->input.AddRowsTo(*command);
  command
      ->add_option_function<std::string>(
          "--missing", [](const std::string&) {},
          "Of images: take these pixels as missing, lines TOP to BOTTOM - 1 and in them pixels "
          "LEFT to RIGHT - 1, counted from 0, any of which may be left out; e.g. 0:14,0:28")
      ->check([flags](const std::string& text) {
        const auto hole = ParseHole(text);
        if (hole.ok()) flags->hole = *hole;
        return std::string(hole.status().message());
      })
      ->type_name("TOP:BOTTOM,LEFT:RIGHT");
  AddInteger<int>(*command, "--draws",
                  "Completions of each row, drawn from the model given what is known; default: "
                  "one, the most likely",
                  1, 100'000, [flags](int draws) { flags->options.draws = draws; });
  AddInteger<int>(*command, "--steps",
                  "Steps of the chain behind a draw, or of each climb to the most likely; "
                  "default: 200",
                  2, 100'000, [flags](int steps) { flags->options.steps = steps; });
  AddSeed(*command, flags->options.seed);
  flags->given.AddTo(*command, "The conditions of all rows, instead of those in the file");
  flags->server.AddTo(*command);
  flags->output.AddTo(*command);
  flags->picture.AddTo(*command, "default: that of the input's images, or of the model's",
                       "default: a line for each row: as it is, the most likely, the draws");
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
