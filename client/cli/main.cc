// SPDX-License-Identifier: Apache-2.0
// millrace: the command line tool.
#include <CLI/CLI.hpp>
#include <iostream>

#include "client/cli/commands/command.h"

namespace {

constexpr char kFooter[] =
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 a file is unreadable, malformed or "
    "not\n"
    "writable, 4 no server answered in time.\n"
    "\n"
    "Example:\n"
    "  millrace generate two-moons -n 10000 -o moons.csv\n"
    "  millrace train moons moons.csv\n"
    "  millrace score moons moons.csv -o scores.csv\n"
    "  millrace sample moons -n 100\n"
    "\n"
    "`millrace COMMAND --help` says more about each command.";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Millrace: train normalizing flows on tables; ask them for densities, scores and samples");
  app.name("millrace");
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", "millrace " MILLRACE_VERSION, "Print the version and exit");
  absl::Status result;
  millrace::cli::AddTrainCommand(app, result);
  millrace::cli::AddFitDensityCommand(app, result);
  millrace::cli::AddDistillCommand(app, result);
  millrace::cli::AddLogProbCommand(app, result);
  millrace::cli::AddScoreCommand(app, result);
  millrace::cli::AddSampleCommand(app, result);
  millrace::cli::AddInterpolateCommand(app, result);
  millrace::cli::AddCompleteCommand(app, result);
  millrace::cli::AddAttributeCommand(app, result);
  millrace::cli::AddManipulateCommand(app, result);
  millrace::cli::AddModelsCommand(app, result);
  millrace::cli::AddDescribeCommand(app, result);
  millrace::cli::AddDeleteCommand(app, result);
  millrace::cli::AddGenerateCommand(app, result);
  app.footer(kFooter);  // after the subcommands, which would take it over
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (app.get_subcommands().empty()) {
    std::cerr << app.help();
    return 2;
  }
  if (!result.ok()) {
    std::cerr << "millrace: " << result.message() << " [" << absl::StatusCodeToString(result.code())
              << "]\n";
  }
  return millrace::cli::ExitCode(result);
}
