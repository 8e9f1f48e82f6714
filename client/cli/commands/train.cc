// SPDX-License-Identifier: Apache-2.0
// millrace train
#include <unistd.h>

#include <iostream>
#include <memory>

#include "absl/time/clock.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/condition_flags.h"
#include "client/cli/commands/json.h"
#include "client/cli/commands/progress.h"
#include "client/cli/commands/train_flags.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  std::string name;
  InputFlags input;
  TrainFlags train;
  ConditionFlags conditions;
  bool json = false;
  bool quiet = false;
};

absl::Status Run(const Flags& flags) {
  auto reader = flags.input.Open();
  if (!reader.ok()) return reader.status();
  auto spec = flags.train.SpecFor(flags.name, (*reader)->column_names(), (*reader)->cols(),
                                  (*reader)->image_shape());
  if (!spec.ok()) return spec.status();
  if (absl::Status status =
          flags.conditions.Mark((*reader)->column_names(), (*reader)->cols(), *spec);
      !status.ok())
    return status;

  ProgressPrinter progress(std::cerr, isatty(STDERR_FILENO) != 0);
  const client::Client client(flags.server.options);
  const auto done = client.Train(
      *spec, [&reader] { return (*reader)->Read(kRowsPerPiece); },
      [&](const v1::TrainResponse& event) {
        if (!flags.quiet) progress.Print(event, absl::Now());
      });
  progress.End();
  if (!done.ok()) return Locate(done.status(), **reader, 0);
  if (flags.json) {
    std::cout << ToJson(*done, true);
  } else {
    std::cout << "model " << done->name() << " version " << done->version() << '\n'
              << ReportText(done->report(), PixelsOf(spec->flow()));
  }
  return absl::OkStatus();
}

}  // namespace

void AddTrainCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "train", "Train a model on a table and publish it as the next version of its name");
  command->add_option("NAME", flags->name, "Name of the model: small letters, digits and hyphens")
      ->type_name("")
      ->required();
  flags->input.AddTo(*command);
  flags->input.AddRowsTo(*command);
  flags->server.AddTo(*command);
  flags->train.AddTo(*command);
  flags->conditions.AddTo(*command);
  command->add_flag("--json", flags->json, "Print the result as JSON")->group("Output");
  command->add_flag("-q,--quiet", flags->quiet, "No progress on standard error")->group("Output");
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
