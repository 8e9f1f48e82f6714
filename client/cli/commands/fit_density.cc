// SPDX-License-Identifier: Apache-2.0
// millrace fit-density and millrace distill
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/fit_density_flags.h"
#include "client/cli/commands/json.h"
#include "client/cli/commands/progress.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  v1::FitDensitySpec spec;
  ModelFlag teacher;  // of distill
  bool json = false;
  bool quiet = false;
};

absl::Status Run(const Flags& flags) {
  v1::FitDensitySpec spec = flags.spec;
  if (!flags.teacher.model.name.empty()) {
    spec.mutable_teacher()->set_name(flags.teacher.model.name);
    spec.mutable_teacher()->set_version(flags.teacher.model.version);
  }
  ProgressPrinter progress(std::cerr, isatty(STDERR_FILENO) != 0);
  const client::Client client(flags.server.options);
  const auto done = client.FitDensity(spec, {}, [&](const v1::TrainResponse& event) {
    if (!flags.quiet) progress.Print(event, absl::Now());
  });
  progress.End();
  if (!done.ok()) return done.status();
  if (flags.json) {
    std::cout << ToJson(*done, true);
  } else {
    std::cout << "model " << done->name() << " version " << done->version() << '\n'
              << ReportText(done->report());
  }
  return absl::OkStatus();
}

// The command with what both have in common.
CLI::App* AddCommand(CLI::App& app, const char* name, const char* what, const char* argument,
                     const std::shared_ptr<Flags>& flags, absl::Status& result) {
  CLI::App* command = app.add_subcommand(name, what);
  command
      ->add_option_function<std::string>(
          argument, [flags](const std::string& model) { flags->spec.set_name(model); },
          "Name of the model: small letters, digits and hyphens")
      ->type_name("")
      ->required();
  flags->server.AddTo(*command);
  AddFitDensityFlags(*command, flags->spec);
  command->add_flag("--json", flags->json, "Print the result as JSON")->group("Output");
  command->add_flag("-q,--quiet", flags->quiet, "No progress on standard error")->group("Output");
  command->callback([flags, &result] { result = Run(*flags); });
  return command;
}

}  // namespace

void AddFitDensityCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = AddCommand(app, "fit-density",
                                 "Fit a model to a density that the server knows, without a table",
                                 "NAME", flags, result);
  AddChoice<v1::BuiltInDensity>(*command, "--energy", "The density",
                                {{"u1", v1::BUILT_IN_DENSITY_U1},
                                 {"u2", v1::BUILT_IN_DENSITY_U2},
                                 {"u3", v1::BUILT_IN_DENSITY_U3},
                                 {"u4", v1::BUILT_IN_DENSITY_U4},
                                 {"banana", v1::BUILT_IN_DENSITY_BANANA},
                                 {"mixture", v1::BUILT_IN_DENSITY_MIXTURE}},
                                [flags](auto density) { flags->spec.set_built_in(density); })
      ->required();
}

void AddDistillCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      AddCommand(app, "distill", "Fit a student to the density of a model, its teacher", "STUDENT",
                 flags, result);
  flags->teacher.AddTo(*command, "--from");
}

}  // namespace millrace::cli
