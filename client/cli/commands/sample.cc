// SPDX-License-Identifier: Apache-2.0
// millrace sample
#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/column_split.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/condition_flags.h"
#include "client/cli/commands/picture_flags.h"
#include "client/cli/io/png_writer.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  OutputFlags output;
  client::SampleOptions options;
  GivenFlag given;
  PictureFlags picture;
  std::string context;  // a file; empty: none
};

// What --given or --context say of the model's conditions, in its order.
absl::StatusOr<client::Table> ContextOf(const Flags& flags, const v1::Model& model) {
  if (flags.context.empty()) {
    auto context = PickContext(model, flags.given.context);
    if (context.ok() && context->cols != flags.given.context.cols)
      return absl::InvalidArgumentError(
          absl::StrCat("--given names columns that are no conditions of model ", model.name()));
    return context;
  }
  auto reader = OpenTable(flags.context, {});
  if (!reader.ok()) return reader.status();
  client::Table all;
  while (true) {
    const auto piece = (*reader)->Read(kRowsPerPiece);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) return PickContext(model, all);
    all.column_names = piece->column_names;
    all.cols = piece->cols;
    all.rows += piece->rows;
    all.values.insert(all.values.end(), piece->values.begin(), piece->values.end());
  }
}

// Columns that the model draws: all but the conditions.
int RowColumns(const v1::Model& model) {
  return static_cast<int>(std::count_if(
      model.columns().begin(), model.columns().end(),
      [](const auto& column) { return column.spec().role() != v1::COLUMN_ROLE_CONDITION; }));
}

// A picture shows each condition's images in a line of its own, where there are several of both.
int Across(const client::SampleOptions& options) {
  if (options.context.rows < 2 || options.count < 2) return 0;
  return static_cast<int>(std::min<std::uint64_t>(options.count, 1 << 20));
}

// How many there are, or more than a picture shows.
std::int64_t Images(const client::SampleOptions& options) {
  const std::uint64_t most = kMostNumbersOfPicture + 1;
  const auto conditions =
      static_cast<std::uint64_t>(std::max<std::int64_t>(options.context.rows, 1));
  return static_cast<std::int64_t>(std::min(std::min(options.count, most) * conditions, most));
}

absl::StatusOr<std::unique_ptr<TableWriter>> OpenOutput(const Flags& flags,
                                                        const client::Table& chunk) {
  std::vector<OutputColumn> columns;
  for (std::string& name : NamesOf(chunk.column_names, chunk.cols))
    columns.push_back({std::move(name)});
  return flags.output.Open(std::move(columns));
}

// `described` is needed for conditions and for pictures of images of `shape`, and else empty.
absl::Status Draw(const Flags& flags, const client::Client& client, const client::ModelRef& model,
                  const client::SampleOptions& options, const v1::Model& described,
                  const std::optional<ImageShape>& shape) {
  std::unique_ptr<TableWriter> writer;
  if (shape) {
    auto opened = flags.picture.Open(flags.output, *shape, Images(options), Across(options));
    if (!opened.ok()) return opened.status();
    writer = *std::move(opened);
  }
  std::uint64_t rows = 0;
  const auto sink = [&](const client::Table& drawn) -> absl::Status {
    if (shape) return Show(drawn, *shape, *writer);
    const bool joins = options.context.cols > 0;
    if (joins && drawn.cols + options.context.cols != described.columns_size())
      return absl::InternalError(
          absl::StrCat("the server sent samples of ", drawn.cols, " columns"));
    const client::Table chunk =
        joins ? Join(described, drawn, rows, options.context, options.count) : drawn;
    rows += static_cast<std::uint64_t>(drawn.rows);
    if (!writer) {
      auto opened = OpenOutput(flags, chunk);
      if (!opened.ok()) return opened.status();
      writer = *std::move(opened);
    }
    return writer->Write(chunk.values);
  };
  const auto version = client.Sample(model, options, sink);
  if (!version.ok()) return version.status();
  return writer ? writer->Close() : absl::OkStatus();
}

absl::Status Run(const Flags& flags) {
  const client::Client client(flags.server.options);
  client::ModelRef model = flags.model.model;
  client::SampleOptions options = flags.options;
  const auto picture = flags.picture.Wanted(flags.output);
  if (!picture.ok()) return picture.status();
  const bool conditions = flags.given.context.cols > 0 || !flags.context.empty();
  v1::Model described;
  if (conditions || *picture) {
    auto answer = client.GetModel(model);
    if (!answer.ok()) return answer.status();
    described = *std::move(answer);
    model.version = described.version();
  }
  if (conditions) {
    auto context = ContextOf(flags, described);
    if (!context.ok()) return context.status();
    options.context = *std::move(context);
  }
  std::optional<ImageShape> shape;
  if (*picture) {
    const auto chosen = flags.picture.ShapeFor(RowColumns(described), described);
    if (!chosen.ok()) return chosen.status();
    shape = *chosen;
  }
  return Draw(flags, client, model, options, described, shape);
}

}  // namespace

void AddSampleCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("sample", "Draw new rows from a model");
  flags->model.AddTo(*command);
  AddInteger<std::uint64_t>(*command, "-n,--count", "Number of rows, under each condition", 1,
                            std::numeric_limits<std::uint64_t>::max(),
                            [flags](std::uint64_t count) { flags->options.count = count; })
      ->required();
  AddSeed(*command, flags->options.seed);
  command
      ->add_option("--temperature", flags->options.temperature,
                   "Below 1 keeps to the likely, above 1 strays")
      ->type_name("T")
      ->capture_default_str();
  CLI::Option* given = flags->given.AddTo(
      *command,
      "A condition to draw under; may be repeated. Conditions become columns of the output");
  command
      ->add_option("--context", flags->context,
                   "Table of conditions to draw under, one a row; other columns are left aside")
      ->type_name("FILE")
      ->excludes(given)
      ->group("Conditions (of a model p(x | c))");
  flags->server.AddTo(*command);
  flags->output.AddTo(*command);
  flags->picture.AddTo(*command, "by default that of a model of images",
                       "default: a line for each condition, or about a square");
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
