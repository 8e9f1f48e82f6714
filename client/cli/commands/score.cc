// SPDX-License-Identifier: Apache-2.0
// millrace score
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands/column_split.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/condition_flags.h"
#include "client/cli/commands/progress.h"
#include "client/cli/io/number.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  InputFlags input;
  OutputFlags output;
  GivenFlag given;
  client::ScoreOptions options;
  bool with_input = false;
  bool quiet = false;
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

struct Summary {
  client::ModelRef model;
  std::int64_t rows = 0;
  std::int64_t anomalies = 0;
  double false_positive_rate = 0;
};

// Lines of progress would run into a table on the same terminal.
bool ShowsProgress(const Flags& flags) {
  return !flags.quiet && (flags.output.path != "-" || isatty(STDOUT_FILENO) == 0);
}

// Conditional contributions take so long that few rows are read, and answered, in one go.
std::int64_t RowsPerPiece(const Flags& flags) {
  return flags.options.contributions == v1::CONTRIBUTIONS_CONDITIONAL ? 256 : kRowsPerPiece;
}

absl::Status ScoreTable(const Flags& flags, TableReader& reader, Summary& summary) {
  const client::Client client(flags.server.options);
  const auto split =
      SplitFor(client, summary.model, reader.column_names(), reader.cols(), flags.given.context);
  if (!split.ok()) return split.status();
  RowProgress progress(std::cerr, isatty(STDERR_FILENO) != 0, absl::Now(), "scored");
  std::unique_ptr<TableWriter> writer;
  while (true) {
    const auto piece = reader.Read(RowsPerPiece(flags));
    if (!piece.ok()) return piece.status();
    if (piece->rows == 0) break;
    const auto result =
        client.Score(summary.model, split->Rows(*piece), flags.options, split->Context(*piece));
    if (!result.ok()) return Locate(result.status(), reader, summary.rows);
    summary.model.version = result->version;
    summary.false_positive_rate = result->false_positive_rate;
    summary.rows += piece->rows;
    summary.anomalies += std::count(result->is_anomaly.begin(), result->is_anomaly.end(), true);
    if (!writer) {
      auto opened = flags.output.Open(Columns(flags, reader, result->contributions));
      if (!opened.ok()) return opened.status();
      writer = *std::move(opened);
    }
    if (absl::Status status = writer->Write(Rows(flags, *piece, *result)); !status.ok())
      return status;
    if (ShowsProgress(flags)) progress.Print(summary.rows, absl::Now());
  }
  return writer ? writer->Close() : absl::OkStatus();
}

absl::Status Run(const Flags& flags) {
  auto reader = flags.input.Open();
  if (!reader.ok()) return reader.status();
  Summary summary{.model = flags.model.model};
  if (absl::Status status = ScoreTable(flags, **reader, summary); !status.ok()) return status;
  std::cerr << summary.anomalies << " of " << summary.rows
            << " rows are anomalies at false-positive rate "
            << FormatNumber(summary.false_positive_rate) << " (model " << summary.model.name
            << " version " << summary.model.version << ")\n";
  return absl::OkStatus();
}

}  // namespace

void AddScoreCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "score", "Anomaly scores of each row: log-density, tail probability, decision");
  flags->model.AddTo(*command);
  flags->input.AddTo(*command);
  flags->input.AddRowsTo(*command);
  flags->given.AddTo(*command, "The conditions of all rows, instead of those in the file");
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
  command->add_flag("-q,--quiet", flags->quiet, "No progress on standard error")->group("Output");
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
