// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/condition_flags.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands/command.h"
#include "client/cli/io/number.h"

namespace millrace::cli {
namespace {

// Adds what one --given says to the context as a row. Says what is wrong with it, if anything.
std::string AddRow(const std::string& text, client::Table& context) {
  std::vector<std::string> names;
  std::vector<double> values;
  const std::vector<std::string> items = absl::StrSplit(text, ',');
  for (const std::string& item : items) {
    const std::size_t equals = item.rfind('=');
    double value = 0;
    if (equals == std::string::npos || equals == 0 || !ParseNumber(item.substr(equals + 1), value))
      return absl::StrCat("is ", Quote(text), ", not NAME=VALUE,... with numbers");
    names.push_back(item.substr(0, equals));
    values.push_back(value);
  }
  if (context.rows == 0) {
    context.column_names = names;
    context.cols = static_cast<int>(names.size());
  }
  if (!std::is_permutation(names.begin(), names.end(), context.column_names.begin(),
                           context.column_names.end()))
    return absl::StrCat("is ", Quote(text), ", which does not name the same columns as before: ",
                        absl::StrJoin(context.column_names, ", "));
  for (const std::string& name : context.column_names)
    context.values.push_back(values[static_cast<std::size_t>(
        std::find(names.begin(), names.end(), name) - names.begin())]);
  ++context.rows;
  return "";
}

}  // namespace

void ConditionFlags::AddTo(CLI::App& command) {
  constexpr char kGroup[] = "Conditions (columns c of a density p(x | c) of the others)";
  AddNames(command, "--condition", "Columns that the density is conditional on, numbers",
           "NAME,...", conditions_)
      ->group(kGroup);
  AddNames(command, "--categorical",
           "Conditions that are class labels: numbers that are told apart, not measured",
           "NAME,...", labels_)
      ->group(kGroup);
}

absl::Status ConditionFlags::Mark(const std::vector<std::string>& names, int cols,
                                  v1::TrainSpec& spec) const {
  if (conditions_.empty() && labels_.empty()) return absl::OkStatus();
  if (spec.columns().empty()) {
    for (const std::string& name : NamesOf(names, cols)) spec.add_columns()->set_name(name);
  }
  for (const auto& [list, is_label] : {std::pair(&conditions_, false), std::pair(&labels_, true)}) {
    for (const std::string& name : *list) {
      const auto column =
          std::find_if(spec.mutable_columns()->begin(), spec.mutable_columns()->end(),
                       [&](const auto& c) { return c.name() == name; });
      if (column == spec.mutable_columns()->end())
        return absl::InvalidArgumentError(absl::StrCat("the table has no column '", name, "'"));
      column->set_role(v1::COLUMN_ROLE_CONDITION);
      if (is_label) column->set_type(v1::COLUMN_TYPE_CATEGORICAL);
    }
  }
  return absl::OkStatus();
}

CLI::Option* GivenFlag::AddTo(CLI::App& command, const std::string& what) {
  return command
      .add_option_function<std::vector<std::string>>(
          "--given", [](const std::vector<std::string>&) {}, what)
      ->check([this](const std::string& text) { return AddRow(text, context); })
      ->allow_extra_args(false)
      ->type_name("NAME=VALUE,...")
      ->group("Conditions (of a model p(x | c))");
}

}  // namespace millrace::cli
