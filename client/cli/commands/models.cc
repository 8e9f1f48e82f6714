// SPDX-License-Identifier: Apache-2.0
// millrace models, describe, delete
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/flow_flags.h"
#include "client/cli/commands/json.h"
#include "client/cli/commands/progress.h"
#include "client/cli/io/number.h"

namespace millrace::cli {
namespace {

struct Flags {
  ServerFlags server;
  ModelFlag model;
  std::string name;
  bool json = false;
  bool all_versions = false;
};

std::string CreateTime(const v1::Model& model) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(model.create_time().seconds()),
                          absl::UTCTimeZone());
}

std::string ModelFlowText(const v1::Model& model) {
  if (model.report().fell_back_to_gaussian())
    return absl::StrCat("a full-covariance Gaussian",
                        model.flow().stack().heavy_tails() ? ", heavy tails" : "");
  return absl::StrCat(FlowText(model.flow()), ", ", model.parameter_count(), " parameters");
}

// `text` in UTF-8, filled up with blanks to `width` characters.
std::string Padded(const std::string& text, std::int64_t width) {
  const std::int64_t characters = std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; });
  return text +
         std::string(static_cast<std::size_t>(std::max<std::int64_t>(width - characters, 0)), ' ');
}

std::string ColumnText(const v1::Column& column) {
  const v1::ColumnSpec& spec = column.spec();
  std::string text =
      absl::StrFormat("  %s %-11s mean %s, deviation %s", Padded(spec.name(), 20),
                      Word(v1::ColumnType_Name(spec.type()), "COLUMN_TYPE_"),
                      FormatNumber(column.mean()), FormatNumber(column.standard_deviation()));
  if (spec.role() == v1::COLUMN_ROLE_CONDITION) text += ", a condition";
  if (column.categories_size() > 0) {
    absl::StrAppend(&text, ": ",
                    absl::StrJoin(column.categories(), ", ",
                                  [](std::string* out, double v) { *out += FormatNumber(v); }));
  }
  if (spec.has_bin_width()) absl::StrAppend(&text, ", bins of ", FormatNumber(spec.bin_width()));
  if (spec.has_lower_bound()) absl::StrAppend(&text, ", from ", FormatNumber(spec.lower_bound()));
  if (spec.has_upper_bound()) absl::StrAppend(&text, ", up to ", FormatNumber(spec.upper_bound()));
  return text + "\n";
}

absl::Status RunModels(const Flags& flags) {
  const auto models = client::Client(flags.server.options).ListModels(flags.name);
  if (!models.ok()) return models.status();
  if (!flags.json) {
    absl::PrintF("%-24s %7s  %-6s %7s %10s %15s  %s\n", "NAME", "VERSION", "STATE", "COLUMNS",
                 "PARAMETERS", "HELD-OUT NATS", "CREATED (UTC)");
  }
  for (const v1::Model& model : *models) {
    if (flags.json) {
      std::cout << ToJson(model, false);
    } else if (model.state() == v1::MODEL_STATE_FAILED) {
      absl::PrintF("%-24s %7d  failed: %s\n", model.name(), model.version(), model.state_message());
    } else {
      absl::PrintF("%-24s %7d  active %7d %10d %15.4f  %s\n", model.name(), model.version(),
                   model.columns_size(), model.parameter_count(),
                   model.report().held_out().user_nats(), CreateTime(model));
    }
  }
  return absl::OkStatus();
}

absl::Status RunDescribe(const Flags& flags) {
  const auto model = client::Client(flags.server.options).GetModel(flags.model.model);
  if (!model.ok()) return model.status();
  if (flags.json) {
    std::cout << ToJson(*model, true);
    return absl::OkStatus();
  }
  std::cout << "model " << model->name() << " version " << model->version() << ", "
            << Word(v1::ModelState_Name(model->state()), "MODEL_STATE_") << ", created "
            << CreateTime(*model) << " UTC\n";
  if (!model->state_message().empty()) std::cout << "  " << model->state_message() << '\n';
  std::cout << "  flow                 " << ModelFlowText(*model) << '\n'
            << ReportText(model->report(), PixelsOf(model->flow()));
  const v1::CalibrationSummary& calibration = model->calibration();
  std::cout << "  calibration          " << calibration.rows() << " rows; at false-positive rate "
            << FormatNumber(calibration.false_positive_rate()) << " anomalies lie below "
            << FormatNumber(calibration.threshold()) << " nats\n"
            << "columns\n";
  for (const v1::Column& column : model->columns()) std::cout << ColumnText(column);
  if (model->attributes_size() > 0) std::cout << "attributes\n";
  for (const v1::AttributeVector& attribute : model->attributes())
    std::cout << "  " << Padded(attribute.name(), 20) << ' ' << attribute.rows_with()
              << " rows with it, " << attribute.rows_without() << " without\n";
  return absl::OkStatus();
}

absl::Status RunDelete(const Flags& flags) {
  const client::ModelRef& model = flags.model.model;
  if (flags.all_versions == (model.version != 0)) {
    return absl::InvalidArgumentError(
        "name one version, NAME:VERSION, or give NAME and --all-versions");
  }
  const client::Client client(flags.server.options);
  const auto versions =
      flags.all_versions ? client.DeleteAllVersions(model.name) : client.DeleteModel(model);
  if (!versions.ok()) return versions.status();
  std::cout << "deleted " << model.name << " version " << absl::StrJoin(*versions, ", ") << '\n';
  return absl::OkStatus();
}

}  // namespace

void AddModelsCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("models", "List the models, or the versions of one");
  command->add_option("NAME", flags->name, "List every version of this model")->type_name("");
  command->add_flag("--json", flags->json, "Print one JSON object a line")->group("Output");
  flags->server.AddTo(*command);
  command->callback([flags, &result] { result = RunModels(*flags); });
}

void AddDescribeCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "describe", "Show a model's columns, flow, training report and calibration");
  flags->model.AddTo(*command);
  command->add_flag("--json", flags->json, "Print as JSON")->group("Output");
  flags->server.AddTo(*command);
  command->callback([flags, &result] { result = RunDescribe(*flags); });
}

void AddDeleteCommand(CLI::App& app, absl::Status& result) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("delete", "Delete one version of a model, or all");
  flags->model.AddTo(*command);
  command->add_flag("--all-versions", flags->all_versions, "Delete every version");
  flags->server.AddTo(*command);
  command->callback([flags, &result] { result = RunDelete(*flags); });
}

}  // namespace millrace::cli
