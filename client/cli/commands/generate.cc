// SPDX-License-Identifier: Apache-2.0
// millrace generate
#include <iostream>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/command.h"
#include "client/cli/toys/toy.h"

namespace millrace::cli {
namespace {

struct Flags {
  std::string toy;
  std::int64_t count = 0;
  std::uint64_t seed = 0;
  std::optional<double> noise;
  bool log_density = false;
  bool mean_log_density = false;
  OutputFlags output;
};

std::string Catalogue() {
  std::string text = "Toys:\n";
  for (const ToyInfo& info : AllToys()) {
    absl::StrAppend(&text, "  ", info.name, std::string(18 - info.name.size(), ' '), info.what,
                    info.noise ? absl::StrCat("; noise ", *info.noise) : "", "\n");
  }
  return text;
}

absl::Status Run(const Flags& flags) {
  if (flags.mean_log_density && flags.output.path == "-") {
    return absl::InvalidArgumentError(
        "--mean-log-density needs --output FILE: both would go to "
        "standard output");
  }
  const auto toy = MakeToy(flags.toy, flags.noise);
  if (!toy.ok()) return toy.status();
  std::vector<OutputColumn> columns = {{"x"}, {"y"}};
  if (flags.log_density) columns.push_back({"log_density"});
  auto writer = flags.output.Open(std::move(columns));
  if (!writer.ok()) return writer.status();

  Random random(flags.seed);
  MeanOf mean;
  std::vector<double> values;
  for (std::int64_t i = 0; i < flags.count; ++i) {
    const Point point = (*toy)->Sample(random);
    values.insert(values.end(), {point.x, point.y});
    if (flags.log_density || flags.mean_log_density) {
      const double log_density = (*toy)->LogDensity(point);
      mean.Add(log_density);
      if (flags.log_density) values.push_back(log_density);
    }
    if ((i + 1) % kRowsPerPiece != 0 && i + 1 < flags.count) continue;
    if (absl::Status status = (*writer)->Write(values); !status.ok()) return status;
    values.clear();
  }
  if (absl::Status status = (*writer)->Close(); !status.ok()) return status;
  if (flags.mean_log_density) std::cout << mean.Line();
  return absl::OkStatus();
}

}  // namespace

void AddGenerateCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("generate", "Draw rows from a toy of two columns whose density is known");
  command->add_option("TOY", flags->toy, "One of those below")
      ->check([](const std::string& name) {
        for (const ToyInfo& info : AllToys()) {
          if (info.name == name) return std::string();
        }
        return "is none of the toys that `millrace generate --help` lists: '" + name + "'";
      })
      ->type_name("")
      ->required();
  AddInteger<std::int64_t>(*command, "-n,--count", "Number of rows", 1,
                           std::numeric_limits<std::int64_t>::max(),
                           [flags](std::int64_t count) { flags->count = count; })
      ->required();
  AddSeed(*command, flags->seed);
  command
      ->add_option_function<double>(
          "--noise", [flags](double noise) { flags->noise = noise; },
          "Standard deviation of the noise, 0.01 to 10; default: the toy's own")
      ->type_name("S");
  command
      ->add_flag("--log-density", flags->log_density,
                 "Add a column with the exact log-density, nats")
      ->group("Output");
  command
      ->add_flag("--mean-log-density", flags->mean_log_density,
                 "Print 'MEAN STANDARD_ERROR ROWS' of the rows' exact log-density; needs --output")
      ->group("Output");
  flags->output.AddTo(*command);
  command->footer(Catalogue());
  command->callback([flags, &result] { result = Run(*flags); });
}

}  // namespace millrace::cli
