// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/table_writer.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/io/array_header.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/number.h"
#include "client/cli/io/output.h"

namespace millrace::cli {
namespace {

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

class CsvWriter : public TableWriter {
 public:
  CsvWriter(Output output, const std::vector<OutputColumn>& columns)
      : output_(std::move(output)), cols_(columns.size()) {
    for (const OutputColumn& column : columns) Append(CsvField(column.name));
  }

  absl::Status Write(std::span<const double> values) override {
    for (const double value : values) Append(FormatNumber(value));
    absl::Status status = output_.Write(text_);
    text_.clear();
    return status;
  }
  absl::Status Close() override {
    absl::Status status = output_.Write(text_);
    status.Update(output_.Close());
    return status;
  }

 private:
  void Append(const std::string& field) {
    text_ += field;
    at_ = (at_ + 1) % cols_;
    text_ += at_ == 0 ? '\n' : ',';
  }

  Output output_;
  std::size_t cols_;
  std::size_t at_ = 0;  // column of the next field
  std::string text_;    // not yet written
};

class JsonLinesWriter : public TableWriter {
 public:
  JsonLinesWriter(Output output, std::vector<OutputColumn> columns)
      : output_(std::move(output)), columns_(std::move(columns)) {}

  absl::Status Write(std::span<const double> values) override {
    std::string text;
    for (std::size_t begin = 0; begin < values.size(); begin += columns_.size()) {
      nlohmann::ordered_json row;
      for (std::size_t c = 0; c < columns_.size(); ++c) {
        const double value = values[begin + c];
        row[columns_[c].name] = columns_[c].is_flag ? nlohmann::ordered_json(value != 0)
                                                    : nlohmann::ordered_json(value);
      }
      text += row.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
      text += '\n';
    }
    return output_.Write(text);
  }
  absl::Status Close() override { return output_.Close(); }

 private:
  Output output_;
  std::vector<OutputColumn> columns_;
};

class NpyWriter : public TableWriter {
 public:
  NpyWriter(Output output, std::size_t cols) : output_(std::move(output)), cols_(cols) {}

  absl::Status Write(std::span<const double> values) override {
    values_.insert(values_.end(), values.begin(), values.end());
    return absl::OkStatus();
  }
  absl::Status Close() override {
    std::string text = absl::StrCat("{'descr': '<f8', 'fortran_order': False, 'shape': (",
                                    values_.size() / cols_, ", ", cols_, "), }");
    constexpr std::size_t kPrefix = 10;  // magic, version 1.0, length
    text.append(63 - (kPrefix + text.size()) % 64, ' ');
    text += '\n';
    std::string start(kNpyMagic);
    start +=
        {'\x01', '\x00', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
    absl::Status status = output_.Write(start + text);
    status.Update(output_.Write(
        {reinterpret_cast<const char*>(values_.data()), values_.size() * sizeof(double)}));
    status.Update(output_.Close());
    return status;
  }

 private:
  Output output_;
  std::size_t cols_;
  std::vector<double> values_;
};

Format FormatOf(const std::string& path) {
  if (absl::EndsWith(path, ".npy")) return Format::kNpy;
  if (absl::EndsWith(path, ".jsonl") || absl::EndsWith(path, ".json")) return Format::kJsonLines;
  return Format::kCsv;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TableWriter>> OpenWriter(const std::string& path, Format format,
                                                        std::vector<OutputColumn> columns) {
  for (const char* end : {".gz", ".npz"}) {
    if (absl::EndsWith(path, end))
      return FileError(path, "compressed files and archives are read only");
  }
  if (format == Format::kAuto && absl::EndsWith(path, ".png"))
    return FileError(path, "this command writes no pictures");
  if (format == Format::kAuto) format = FormatOf(path);
  auto output = Output::Open(path);
  if (!output.ok()) return output.status();
  if (format == Format::kNpy)
    return std::make_unique<NpyWriter>(*std::move(output), columns.size());
  if (format == Format::kJsonLines) {
    return std::make_unique<JsonLinesWriter>(*std::move(output), std::move(columns));
  }
  return std::make_unique<CsvWriter>(*std::move(output), columns);
}

}  // namespace millrace::cli
