// SPDX-License-Identifier: Apache-2.0
// millrace complete
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
#include "client/cli/commands/hole.h"
#include "client/cli/commands/picture_flags.h"

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

absl::Status WriteTable(const Flags& flags, const client::CompleteResult& result,
                        std::unique_ptr<TableWriter>& writer) {
  const bool drawn = flags.options.draws > 0;
  if (!writer) {
    std::vector<OutputColumn> columns;
    for (std::string& name : NamesOf(result.rows.column_names, result.rows.cols))
      columns.push_back({std::move(name)});
    columns.push_back({"log_prob"});
    if (drawn) columns.push_back({"acceptance_rate"});
    auto opened = flags.output.Open(std::move(columns));
    if (!opened.ok()) return opened.status();
    writer = *std::move(opened);
  }
  std::vector<double> values;
  for (std::int64_t r = 0; r < result.rows.rows; ++r) {
    values.insert(values.end(), result.rows.row(r).begin(), result.rows.row(r).end());
    values.push_back(result.log_prob[static_cast<std::size_t>(r)]);
    if (drawn) values.push_back(result.acceptance_rate[static_cast<std::size_t>(r)]);
  }
  return writer->Write(values);
}

// A line of images for each row: as it is, its most likely completion, those that were drawn.
client::Table Lines(const client::Table& rows, const client::Table& likely,
                    const client::Table& drawn, int draws) {
  client::Table lines{{}, rows.rows * (2 + draws), likely.cols, {}};
  const auto add = [&lines](const client::Table& from, std::int64_t r) {
    lines.values.insert(lines.values.end(), from.row(r).begin(), from.row(r).end());
  };
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    add(rows, r);
    add(likely, r);
    for (int k = 0; k < draws; ++k) add(drawn, r * draws + k);
  }
  return lines;
}

absl::Status CompletePiece(const Flags& flags, const client::Client& client, const Plan& plan,
                           const client::RowsPiece& piece, client::CompleteOptions options,
                           std::unique_ptr<TableWriter>& writer) {
  auto result = client.Complete(plan.model, piece.rows, options, piece.context);
  if (!result.ok()) return result.status();
  if (!plan.picture) return WriteTable(flags, *result, writer);
  const int draws = std::exchange(options.draws, 0);
  client::Table drawn;
  if (draws > 0) {
    drawn = std::move(result->rows);
    result = client.Complete(plan.model, piece.rows, options, piece.context);
    if (!result.ok()) return result.status();
  }
  return flags.picture.Write(flags.output, *plan.picture, 2 + draws,
                             Lines(piece.rows, result->rows, drawn, draws), writer);
}

absl::Status Run(const Flags& flags) {
  InputFlags input = flags.input;
  input.options.missing = true;
  auto reader = input.Open();
  if (!reader.ok()) return reader.status();
  const client::Client client(flags.server.options);
  const auto plan = PlanFor(flags, client, **reader);
  if (!plan.ok()) return plan.status();
  client::CompleteOptions options = flags.options;
  std::unique_ptr<TableWriter> writer;
  while (true) {
    const auto piece = (*reader)->Read(kRowsPerPiece);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) return writer ? writer->Close() : absl::OkStatus();
    client::RowsPiece rows = {plan->split.Rows(*piece), plan->split.Context(*piece)};
    TakeOut(plan->missing, rows.rows);
    if (plan->picture && !writer && !HasMissing(rows.rows))
      return absl::InvalidArgumentError(
          absl::StrCat((*reader)->Location(0), ": nothing is missing in ", piece->rows,
                       " images from here on; name what is to be completed with --missing"));
    const absl::Status status = CompletePiece(flags, client, *plan, rows, options, writer);
    if (!status.ok()) return Locate(status, **reader, static_cast<std::int64_t>(options.first_row));
    options.first_row += static_cast<std::uint64_t>(piece->rows);
  }
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
