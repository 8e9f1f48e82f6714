// SPDX-License-Identifier: Apache-2.0
// millrace log-prob
#include <deque>
#include <iostream>
#include <memory>
#include <utility>

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
  bool with_input = false;
  bool mean = false;
};

std::vector<OutputColumn> Columns(const Flags& flags, const TableReader& reader) {
  std::vector<OutputColumn> columns;
  if (flags.with_input) {
    for (std::string& name : NamesOf(reader.column_names(), reader.cols())) {
      columns.push_back({std::move(name)});
    }
  }
  columns.push_back({"log_prob"});
  return columns;
}

std::vector<double> Rows(const Flags& flags, const client::Table& piece,
                         const std::vector<double>& log_prob) {
  if (!flags.with_input) return log_prob;
  std::vector<double> values;
  for (std::int64_t r = 0; r < piece.rows; ++r) {
    values.insert(values.end(), piece.row(r).begin(), piece.row(r).end());
    values.push_back(log_prob[static_cast<std::size_t>(r)]);
  }
  return values;
}

absl::Status Run(const Flags& flags) {
  auto reader = flags.input.Open();
  if (!reader.ok()) return reader.status();
  const client::Client client(flags.server.options);
  client::ModelRef model = flags.model.model;
  const auto split =
      SplitFor(client, model, (*reader)->column_names(), (*reader)->cols(), flags.given.context);
  if (!split.ok()) return split.status();
  const bool write_rows = !flags.mean || flags.output.path != "-";
  std::unique_ptr<TableWriter> writer;
  MeanOf mean;
  std::deque<client::Table> pieces;  // on their way
  const auto read = [&]() -> absl::StatusOr<client::RowsPiece> {
    auto piece = (*reader)->Read(kRowsPerPiece);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) return client::RowsPiece{};
    pieces.push_back(*std::move(piece));
    return client::RowsPiece{split->Rows(pieces.back()), split->Context(pieces.back())};
  };
  const auto write = [&](const client::RowsPiece&, const client::LogProbResult& result) {
    const client::Table piece = std::move(pieces.front());
    pieces.pop_front();
    for (const double value : result.log_prob) mean.Add(value);
    if (!write_rows) return absl::OkStatus();
    if (!writer) {
      auto opened = flags.output.Open(Columns(flags, **reader));
      if (!opened.ok()) return opened.status();
      writer = *std::move(opened);
    }
    return writer->Write(Rows(flags, piece, result.log_prob));
  };
  const auto version = client.LogProb(model, read, write);
  if (!version.ok()) return Locate(version.status(), **reader, 0);
  if (flags.mean) std::cout << mean.Line();
  return writer ? writer->Close() : absl::OkStatus();
}

}  // namespace

void AddLogProbCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "log-prob", "Log-density of each row of a table, in nats of its own units");
  flags->model.AddTo(*command);
  flags->input.AddTo(*command);
  flags->input.AddRowsTo(*command);
  flags->given.AddTo(*command, "The conditions of all rows, instead of those in the file");
  flags->server.AddTo(*command);
  flags->output.AddTo(*command);
  command->add_flag("--with-input", flags->with_input, "Put the row's own columns in front")
      ->group("Output");
  command
      ->add_flag(
          "--mean", flags->mean,
          "Print 'MEAN STANDARD_ERROR ROWS' instead of the rows, which go to --output if given")
      ->group("Output");
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
