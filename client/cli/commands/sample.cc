// SPDX-License-Identifier: Apache-2.0
// millrace sample
#include <limits>
#include <memory>

#include "client/cli/commands/command.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  OutputFlags output;
  client::SampleOptions options;
};

absl::Status Run(const Flags& flags) {
  const client::Client client(flags.server.options);
  std::unique_ptr<TableWriter> writer;
  const auto sink = [&](const client::Table& chunk) -> absl::Status {
    if (!writer) {
      std::vector<OutputColumn> columns;
      for (std::string& name : NamesOf(chunk.column_names, chunk.cols))
        columns.push_back({std::move(name)});
      auto opened = flags.output.Open(std::move(columns));
      if (!opened.ok()) return opened.status();
      writer = *std::move(opened);
    }
    return writer->Write(chunk.values);
  };
  const auto version = client.Sample(flags.model.model, flags.options, sink);
  if (!version.ok()) return version.status();
  return writer ? writer->Close() : absl::OkStatus();
}

}  // namespace

void AddSampleCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("sample", "Draw new rows from a model");
  flags->model.AddTo(*command);
  AddInteger<std::uint64_t>(*command, "-n,--count", "Number of rows", 1,
                            std::numeric_limits<std::uint64_t>::max(),
                            [flags](std::uint64_t count) { flags->options.count = count; })
      ->required();
  AddSeed(*command, flags->options.seed);
  command
      ->add_option("--temperature", flags->options.temperature,
                   "Below 1 keeps to the likely, above 1 strays")
      ->type_name("T")
      ->capture_default_str();
  flags->server.AddTo(*command);
  flags->output.AddTo(*command);
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
