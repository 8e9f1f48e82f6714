// SPDX-License-Identifier: Apache-2.0
// What the subcommands of `millrace` share.
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_COMMAND_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_COMMAND_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/reader_adapters.h"
#include "client/cli/io/table_reader.h"
#include "client/cli/io/table_writer.h"
#include "client/client.h"
#include "google/protobuf/duration.pb.h"

namespace millrace::cli {

// Each adds one subcommand; when it is the one that was typed, parsing runs it and sets `result`.
void AddTrainCommand(CLI::App& app, absl::Status& result);
void AddFitDensityCommand(CLI::App& app, absl::Status& result);
void AddDistillCommand(CLI::App& app, absl::Status& result);
void AddLogProbCommand(CLI::App& app, absl::Status& result);
void AddScoreCommand(CLI::App& app, absl::Status& result);
void AddSampleCommand(CLI::App& app, absl::Status& result);
void AddInterpolateCommand(CLI::App& app, absl::Status& result);
void AddCompleteCommand(CLI::App& app, absl::Status& result);
void AddAttributeCommand(CLI::App& app, absl::Status& result);
void AddManipulateCommand(CLI::App& app, absl::Status& result);
void AddModelsCommand(CLI::App& app, absl::Status& result);
void AddDescribeCommand(CLI::App& app, absl::Status& result);
void AddDeleteCommand(CLI::App& app, absl::Status& result);
void AddGenerateCommand(CLI::App& app, absl::Status& result);

// 0 for OK; 4 where no server answered (in time); 3 for a file; 1 for everything else. Wrong usage
// is 2.
int ExitCode(const absl::Status& status);

// --server and --timeout.
struct ServerFlags {
  client::ClientOptions options;
  void AddTo(CLI::App& command);
};

// The positional MODEL, or another argument: NAME or NAME:VERSION.
struct ModelFlag {
  client::ModelRef model;
  void AddTo(CLI::App& command, const std::string& argument = "MODEL");
};

// The positional FILE and what tells how to read it.
struct InputFlags {
  std::string path = "-";
  ReadOptions options;
  std::string labels;  // a file; empty: none
  RowRange rows;
  void AddTo(CLI::App& command);
  // --rows, of commands that take a whole table.
  void AddRowsTo(CLI::App& command);
  absl::StatusOr<std::unique_ptr<TableReader>> Open() const;
};

// --output and --format.
struct OutputFlags {
  std::string path = "-";
  Format format = Format::kAuto;
  CLI::Option* output = nullptr;
  void AddTo(CLI::App& command);
  absl::StatusOr<std::unique_ptr<TableWriter>> Open(std::vector<OutputColumn> columns) const {
    return OpenWriter(path, format, std::move(columns));
  }
};

// Rows that are read in one go.
inline constexpr std::int64_t kRowsPerPiece = 16384;

// Puts the whole number that `text` is into `value`. Says what is wrong where it is none from `low`
// to `high`, and nothing else.
template <typename T>
std::string ParseInteger(const std::string& text, T low, T high, T& value) {
  if (absl::SimpleAtoi(text, &value) && value >= low && value <= high) return "";
  return absl::StrCat("is ", Quote(text), ", not a whole number from ", low, " to ", high);
}

// Adds an option whose value is a whole number from `low` to `high`, and goes to `set`.
template <typename T, typename Set>
CLI::Option* AddInteger(CLI::App& command, const std::string& name, const std::string& what, T low,
                        T high, Set set) {
  const auto check = [low, high, set](const std::string& text) {
    T value = 0;
    std::string wrong = ParseInteger(text, low, high, value);
    if (wrong.empty()) set(value);
    return wrong;
  };
  return command
      .add_option_function<std::string>(
          name, [](const std::string&) {}, what)
      ->check(check)
      ->type_name("N");
}

// Adds --seed of `generate`, `sample` and `complete`.
CLI::Option* AddSeed(CLI::App& command, std::uint64_t& seed);

// Adds an option whose value is a duration above 0; `message` gives where it goes.
CLI::Option* AddDuration(CLI::App& command, const std::string& name, const std::string& what,
                         std::function<google::protobuf::Duration*()> message);

// Adds an option whose value is one of `words`; help and errors list them.
template <typename T, typename Set>
CLI::Option* AddChoice(CLI::App& command, const std::string& name, const std::string& what,
                       const std::vector<std::pair<std::string, T>>& words, Set set) {
  std::string list;
  for (const auto& [word, value] : words) list += (list.empty() ? "" : "|") + word;
  const auto check = [words, set, list](const std::string& text) -> std::string {
    for (const auto& [word, value] : words) {
      if (word != text) continue;
      set(value);
      return "";
    }
    return "is '" + text + "', not one of " + list;
  };
  return command
      .add_option_function<std::string>(
          name, [](const std::string&) {}, what)
      ->check(check)
      ->type_name(list);
}

// Adds an option that takes a list ITEM,ITEM,... in one argument, and may be repeated. Items are
// not empty; each goes to `add`, which says what is wrong with it, if anything.
template <typename Add>
CLI::Option* AddList(CLI::App& command, const std::string& name, const std::string& what,
                     const std::string& type, Add add) {
  const auto check = [add](const std::string& text) -> std::string {
    const std::vector<std::string> items = absl::StrSplit(text, ',');
    for (const std::string& item : items) {
      std::string wrong =
          item.empty() ? absl::StrCat("is ", Quote(text), ", which has an empty entry") : add(item);
      if (!wrong.empty()) return wrong;
    }
    return "";
  };
  return command
      .add_option_function<std::vector<std::string>>(
          name, [](const std::vector<std::string>&) {}, what)
      ->check(check)
      ->allow_extra_args(false)
      ->type_name(type);
}

// The same for names.
CLI::Option* AddNames(CLI::App& command, const std::string& name, const std::string& what,
                      const std::string& type, std::vector<std::string>& names);

// The name of an enum's value without its prefix, in small letters: ARCHITECTURE_NSF_AR is
// "nsf-ar".
std::string Word(const std::string& name, const std::string& prefix);

// Puts in front of a server's error where the row at fault stands, for a request that began at row
// `first_row` of the file, or whose rows were those numbered `rows` there.
absl::Status Locate(const absl::Status& status, const TableReader& reader, std::int64_t first_row);
absl::Status Locate(const absl::Status& status, const TableReader& reader,
                    const std::vector<std::int64_t>& rows);

// Mean and standard error of a series. With -infinity in it, the log of a density of 0, the mean is
// -infinity and the standard error NaN.
class MeanOf {
 public:
  void Add(double value);
  // "MEAN STANDARD_ERROR COUNT\n".
  std::string Line() const;

 private:
  std::int64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;  // sum of squared deviations from the mean
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_COMMAND_H_
