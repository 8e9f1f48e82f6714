// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/command.h"

#include <cctype>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/number.h"
#include "client/status.h"

namespace millrace::cli {
namespace {

std::string SetModel(const std::string& text, client::ModelRef& model) {
  const std::size_t colon = text.rfind(':');
  model.name = text.substr(0, colon);
  if (colon == std::string::npos) return "";
  const bool number = absl::SimpleAtoi(text.substr(colon + 1), &model.version);
  return number && model.version > 0 ? ""
                                     : "MODEL is NAME or NAME:VERSION, VERSION a number from 1 up";
}

std::string SetTimeout(const std::string& text, client::ClientOptions& options) {
  absl::Duration timeout;
  if (!absl::ParseDuration(text, &timeout) || timeout <= absl::ZeroDuration()) {
    return "is not a duration such as 30s, 5m or 1h30m";
  }
  options.timeout = options.train_timeout = timeout;
  return "";
}

// The row of the request that the server found at fault.
std::optional<std::int64_t> FaultyRow(const absl::Status& status) {
  const auto detail = client::ErrorDetailOf(status);
  if (!detail || !detail->has_row()) return std::nullopt;
  return static_cast<std::int64_t>(detail->row());
}

absl::Status At(const std::string& location, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(location, ": ", std::string(status.message())));
}

}  // namespace

int ExitCode(const absl::Status& status) {
  if (status.ok()) return 0;
  if (IsFileError(status)) return 3;
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ? 4 : 1;
}

void ServerFlags::AddTo(CLI::App& command) {
  command.add_option("-s,--server", options.target, "Address of the server, HOST:PORT")
      ->envname("MILLRACE_SERVER")
      ->capture_default_str()
      ->group("Server");
  command
      .add_option_function<std::string>(
          "--timeout", [](const std::string&) {},
          "Longest wait for one reply, or for the next rows of a sample, e.g. 30s, 5m; default "
          "60s; for a whole training 24h")
      ->check([this](const std::string& text) { return SetTimeout(text, options); })
      ->type_name("DURATION")
      ->group("Server");
}

void ModelFlag::AddTo(CLI::App& command, const std::string& argument) {
  command
      .add_option_function<std::string>(
          argument, [](const std::string&) {}, "NAME for its latest version, or NAME:VERSION")
      ->check([this](const std::string& text) { return SetModel(text, model); })
      ->type_name("")
      ->required();
}

void InputFlags::AddTo(CLI::App& command) {
  command
      .add_option("FILE", path,
                  "Table or images: CSV, .npy, IDX (each also .gz), .npz, PNG or a folder of PNG "
                  "files; '-' is standard input (CSV, .npy or IDX)")
      ->type_name("")
      ->capture_default_str();
  AddChoice<Header>(
      command, "--header",
      "Whether a CSV begins with names; auto: if no field of its first line is a number",
      {{"auto", Header::kAuto}, {"yes", Header::kYes}, {"no", Header::kNo}},
      [this](Header header) { options.header = header; })
      ->group("Input");
  command
      .add_option_function<std::string>(
          "--delimiter",
          [this](const std::string& text) { options.delimiter = text == "tab" ? '\t' : text[0]; },
          "What separates fields of a CSV: one character or 'tab'; default: comma, semicolon or "
          "tab")
      ->check([](const std::string& text) {
        return text == "tab" || (text.size() == 1 && text != "\"")
                   ? ""
                   : "must be one character, or tab";
      })
      ->type_name("CHAR")
      ->group("Input");
  command.add_option("--key", options.key, "Array of an .npz archive; default: X, or the only one")
      ->type_name("NAME")
      ->group("Input");
  AddNames(command, "--columns", "Columns to use, by name or number from 0; default: all",
           "NAME,...", options.columns)
      ->group("Input");
  command
      .add_option("--labels", labels,
                  "Table of one column, as many rows: becomes the last column, 'label'")
      ->type_name("FILE")
      ->group("Input");
}

void InputFlags::AddRowsTo(CLI::App& command) {
  command
      .add_option_function<std::string>(
          "--rows", [](const std::string&) {},
          "Rows BEGIN to END - 1, counted from 0, either of which may be left out; default: all")
      ->check([this](const std::string& text) {
        const auto range = ParseRowRange(text);
        if (range.ok()) rows = *range;
        return std::string(range.status().message());
      })
      ->type_name("BEGIN:END")
      ->group("Input");
}

absl::StatusOr<std::unique_ptr<TableReader>> InputFlags::Open() const {
  const auto name_of = [](const std::string& file) {
    return file == "-" ? "standard input" : file;
  };
  if (path == "-" && labels == "-")
    return absl::InvalidArgumentError("FILE and --labels cannot both be standard input");
  auto reader = OpenTable(path, options);
  if (reader.ok() && !labels.empty()) {
    auto column = OpenTable(labels, {});
    if (!column.ok()) return column.status();
    reader = JoinLabels({name_of(path), *std::move(reader)}, {name_of(labels), *std::move(column)});
  }
  if (!reader.ok() || (rows.begin == 0 && !rows.end)) return reader;
  return TakeRows({name_of(path), *std::move(reader)}, rows);
}

void OutputFlags::AddTo(CLI::App& command) {
  output = command.add_option("-o,--output", path, "File to write; '-' is standard output")
               ->type_name("FILE")
               ->capture_default_str()
               ->group("Output");
  AddChoice<Format>(command, "--format", "Default: by the file's name (.npy, .jsonl), else csv",
                    {{"csv", Format::kCsv}, {"npy", Format::kNpy}, {"jsonl", Format::kJsonLines}},
                    [this](Format chosen) { format = chosen; })
      ->group("Output");
}

CLI::Option* AddSeed(CLI::App& command, std::uint64_t& seed) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  return AddInteger<std::uint64_t>(command, "--seed", "The same seed gives the same rows", 0, kMax,
                                   [&seed](std::uint64_t value) { seed = value; })
      ->default_str(absl::StrCat(seed));
}

CLI::Option* AddDuration(CLI::App& command, const std::string& name, const std::string& what,
                         std::function<google::protobuf::Duration*()> message) {
  const auto check = [message = std::move(message)](const std::string& text) {
    absl::Duration duration;
    if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() ||
        duration > absl::Hours(1e6)) {
      return "is not a duration such as 90s or 10m";
    }
    message()->set_seconds(absl::ToInt64Seconds(duration));
    message()->set_nanos(static_cast<std::int32_t>(
        absl::ToInt64Nanoseconds(duration - absl::Floor(duration, absl::Seconds(1)))));
    return "";
  };
  return command
      .add_option_function<std::string>(
          name, [](const std::string&) {}, what)
      ->check(check)
      ->type_name("DURATION");
}

CLI::Option* AddNames(CLI::App& command, const std::string& name, const std::string& what,
                      const std::string& type, std::vector<std::string>& names) {
  return AddList(command, name, what, type, [&names](const std::string& item) {
    names.push_back(item);
    return std::string();
  });
}

absl::Status Locate(const absl::Status& status, const TableReader& reader, std::int64_t first_row) {
  const auto row = FaultyRow(status);
  return row ? At(reader.Location(first_row + *row), status) : status;
}

absl::Status Locate(const absl::Status& status, const TableReader& reader,
                    const std::vector<std::int64_t>& rows) {
  const auto row = FaultyRow(status);
  if (!row || *row >= std::ssize(rows)) return status;
  return At(reader.Location(rows[static_cast<std::size_t>(*row)]), status);
}

void MeanOf::Add(double value) {
  ++count_;
  const double before = value - mean_;
  const bool finite = std::isfinite(value) && std::isfinite(mean_);
  mean_ += finite ? before / static_cast<double>(count_) : value;
  squares_ += before * (value - mean_);
}

std::string MeanOf::Line() const {
  const double n = static_cast<double>(count_);
  const double error =
      count_ > 1 ? std::sqrt(squares_ / (n - 1) / n) : std::numeric_limits<double>::quiet_NaN();
  return absl::StrCat(FormatNumber(mean_), " ", FormatNumber(error), " ", count_, "\n");
}

std::string Word(const std::string& name, const std::string& prefix) {
  std::string word = name.substr(name.starts_with(prefix) ? prefix.size() : 0);
  for (char& c : word)
    c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return word;
}

}  // namespace millrace::cli
