// SPDX-License-Identifier: Apache-2.0
// millrace score
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/command.h"
#include "client/cli/io/number.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  InputFlags input;
  OutputFlags output;
  client::ScoreOptions options;
  bool with_input = false;
};

std::vector<OutputColumn> Columns(const Flags& flags, const TableReader& reader,
                                  const client::Table& contributions) {
  std::vector<OutputColumn> columns;
  if (flags.with_input) {
    for (std::string& name : NamesOf(reader.column_names(), reader.cols())) {
      columns.push_back({std::move(name)});
    }
  }
  columns.insert(
      columns.end(),
      {{"log_prob"}, {"tail_probability"}, {"is_anomaly", true}, {"out_of_support", true}});
  if (contributions.rows > 0) {
    for (const std::string& name : NamesOf(contributions.column_names, contributions.cols)) {
      columns.push_back({absl::StrCat("contribution_", name)});
    }
  }
  return columns;
}

std::vector<double> Rows(const Flags& flags, const client::Table& piece,
                         const client::ScoreResult& result) {
  std::vector<double> values;
  for (std::int64_t r = 0; r < piece.rows; ++r) {
    const std::size_t i = static_cast<std::size_t>(r);
    if (flags.with_input) values.insert(values.end(), piece.row(r).begin(), piece.row(r).end());
    values.insert(values.end(),
                  {result.log_prob[i], result.tail_probability[i], result.is_anomaly[i] ? 1.0 : 0.0,
                   result.out_of_support[i] ? 1.0 : 0.0});
    if (result.contributions.rows == 0) continue;
    const auto terms = result.contributions.row(r);
    values.insert(values.end(), terms.begin(), terms.end());
  }
  return values;
}

absl::Status Run(const Flags& flags) {
  auto reader = OpenTable(flags.input.path, flags.input.options);
  if (!reader.ok()) return reader.status();
  const client::Client client(flags.server.options);
  client::ModelRef model = flags.model.model;
  std::unique_ptr<TableWriter> writer;
  std::int64_t rows = 0;
  std::int64_t anomalies = 0;
  double rate = 0;
  while (true) {
    const auto piece = (*reader)->Read(kRowsPerPiece);
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) break;
    const auto result = client.Score(model, *piece, flags.options);
    if (!result.ok()) return Locate(result.status(), **reader, rows);
    model.version = result->version;
    rate = result->false_positive_rate;
    rows += piece->rows;
    for (const bool is_anomaly : result->is_anomaly) anomalies += is_anomaly ? 1 : 0;
    if (!writer) {
      auto opened = flags.output.Open(Columns(flags, **reader, result->contributions));
      if (!opened.ok()) return opened.status();
      writer = *std::move(opened);
    }
    if (absl::Status status = writer->Write(Rows(flags, *piece, *result)); !status.ok())
      return status;
  }
  if (writer) {
    if (absl::Status status = writer->Close(); !status.ok()) return status;
  }
  std::cerr << anomalies << " of " << rows << " rows are anomalies at false-positive rate "
            << FormatNumber(rate) << " (model " << model.name << " version " << model.version
            << ")\n";
  return absl::OkStatus();
}

}  // namespace

void AddScoreCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "score", "Anomaly scores of each row: log-density, tail probability, decision");
  flags->model.AddTo(*command);
  flags->input.AddTo(*command);
  flags->server.AddTo(*command);
  flags->output.AddTo(*command);
  command
      ->add_option_function<double>(
          "--false-positive-rate",
          [flags](double rate) { flags->options.false_positive_rate = rate; },
          "Share of ordinary rows that may be flagged; default: the model's")
      ->type_name("RATE");
  AddChoice<v1::Contributions>(
      *command, "--contributions",
      "Add what each column contributes: given all others, or given those before it",
      {{"none", v1::CONTRIBUTIONS_NONE},
       {"conditional", v1::CONTRIBUTIONS_CONDITIONAL},
       {"chain", v1::CONTRIBUTIONS_CHAIN}},
      [flags](v1::Contributions kind) { flags->options.contributions = kind; });
  command->add_flag("--with-input", flags->with_input, "Put the row's own columns in front")
      ->group("Output");
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
