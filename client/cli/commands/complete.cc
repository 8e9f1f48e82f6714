// SPDX-License-Identifier: Apache-2.0
// millrace complete
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/column_split.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/condition_flags.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  InputFlags input;
  OutputFlags output;
  GivenFlag given;
  client::CompleteOptions options;
};

absl::Status Write(const Flags& flags, const client::CompleteResult& result,
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

absl::Status Run(const Flags& flags) {
  InputFlags input = flags.input;
  input.options.missing = true;
  auto reader = input.Open();
  if (!reader.ok()) return reader.status();
  const client::Client client(flags.server.options);
  client::ModelRef model = flags.model.model;
  const auto split =
      SplitFor(client, model, (*reader)->column_names(), (*reader)->cols(), flags.given.context);
  if (!split.ok()) return split.status();
  client::CompleteOptions options = flags.options;
  std::unique_ptr<TableWriter> writer;
  while (true) {
    const auto piece = (*reader)->Read(kRowsPerPiece);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) return writer ? writer->Close() : absl::OkStatus();
    const auto result =
        client.Complete(model, split->Rows(*piece), options, split->Context(*piece));
    if (!result.ok())
      return Locate(result.status(), **reader, static_cast<std::int64_t>(options.first_row));
    if (absl::Status status = Write(flags, *result, writer); !status.ok()) return status;
    options.first_row += static_cast<std::uint64_t>(piece->rows);
  }
}

}  // namespace

void AddCompleteCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("complete", "Fill in missing values: empty fields of a CSV, or NaN");
  flags->model.AddTo(*command);
  flags->input.AddTo(*command);
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
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
