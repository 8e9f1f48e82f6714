// SPDX-License-Identifier: Apache-2.0
// The flags that speak of the conditions c of a density p(x | c).
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_CONDITION_FLAGS_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_CONDITION_FLAGS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/table.h"
#include "millrace/v1/train_messages.pb.h"

namespace millrace::cli {

// --condition and --categorical of `train`.
class ConditionFlags {
 public:
  void AddTo(CLI::App& command);

  // Marks the columns of a spec for a table with these columns; `names` is empty for nameless ones.
  // INVALID_ARGUMENT for an unknown column.
  absl::Status Mark(const std::vector<std::string>& names, int cols, v1::TrainSpec& spec) const;

 private:
  std::vector<std::string> conditions_;
  std::vector<std::string> labels_;
};

// --given NAME=VALUE,...: a row of conditions each time; without any, `context` has no columns.
struct GivenFlag {
  client::Table context;
  CLI::Option* AddTo(CLI::App& command, const std::string& what);
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_CONDITION_FLAGS_H_
