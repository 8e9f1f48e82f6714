// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/csv_reader.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/number.h"

namespace millrace::cli {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::size_t kStartBytes = 1 << 16;

// Why a file that begins like this is no text that can be read, or null.
const char* FaultOfText(std::string_view start) {
  const bool marked = start.starts_with("\xff\xfe") || start.starts_with("\xfe\xff");
  const auto is_half = [&](std::size_t i) {
    return start.size() > i + 1 && (start[i] == '\0') != (start[i + 1] == '\0');
  };
  if (marked || (is_half(0) && (start.size() < 4 || is_half(2)))) {
    return "is text in UTF-16; UTF-8 is needed";
  }
  if (start.substr(0, 4).find('\0') != std::string_view::npos) {
    return "is no text, and neither .npy, .npz, IDX nor PNG";
  }
  const std::size_t cr = start.find('\r');
  if (cr != std::string_view::npos && cr + 1 < start.size() &&
      start.find('\n') == std::string_view::npos) {
    return "has lines that end in CR alone; LF or CRLF is needed";
  }
  return nullptr;
}

// Of comma, semicolon and tab the one that stands most often outside quotes; a comma where none
// does.
char GuessDelimiter(std::string_view line) {
  const std::string_view candidates = ",;\t";
  std::vector<int> counts(candidates.size());
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    const std::size_t i = candidates.find(c);
    if (!quoted && i != std::string_view::npos) ++counts[i];
  }
  return candidates[static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) -
                                             counts.begin())];
}

std::string Trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TableReader>> CsvReader::Open(Input input,
                                                             const ReadOptions& options) {
  if (!options.key.empty())
    return FileError(input.name(), "--key is for .npz archives, this is CSV");
  auto start = input.Peek(kStartBytes);
  if (!start.ok()) return start.status();
  if (const char* fault = FaultOfText(*start)) return FileError(input.name(), fault);
  if (start->starts_with(kByteOrderMark)) {
    std::string skipped(kByteOrderMark.size(), '\0');
    (void)input.Read(skipped);
    start = input.Peek(kStartBytes);
    if (!start.ok()) return start.status();
  }
  const char delimiter = options.delimiter != 0
                             ? options.delimiter
                             : GuessDelimiter(start->substr(0, start->find('\n')));
  std::unique_ptr<CsvReader> reader(new CsvReader(std::move(input), delimiter));
  if (absl::Status status = reader->Start(options); !status.ok()) return status;
  return reader;
}

absl::Status CsvReader::Start(const ReadOptions& options) {
  absl::StatusOr<bool> more = NextRecord();
  if (!more.ok()) return more.status();
  if (!*more) return FileError(input_.name(), "is empty");
  all_cols_ = field_count_;
  missing_ = options.missing;
  double ignored = 0;
  const bool no_numbers =
      std::none_of(fields_.begin(), fields_.begin() + field_count_,
                   [&](const std::string& f) { return ParseNumber(f, ignored); });
  if (options.header == Header::kYes || (options.header == Header::kAuto && no_numbers)) {
    std::set<std::string> seen;
    for (int i = 0; i < field_count_; ++i) {
      all_names_.push_back(Trimmed(fields_[i]));
      if (!seen.insert(all_names_.back()).second)
        return FieldError(i, "is the name of two columns");
    }
    more = NextRecord();
    if (!more.ok()) return more.status();
    if (!*more) return FileError(input_.name(), "has a header but no rows");
  }
  pending_ = true;
  auto positions = ResolveColumns(options.columns, all_names_, all_cols_);
  if (!positions.ok()) return FileError(input_.name(), std::string(positions.status().message()));
  positions_ = *std::move(positions);
  cols_ = static_cast<int>(positions_.size());
  if (!all_names_.empty()) {
    for (const int position : positions_) column_names_.push_back(all_names_[position]);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> CsvReader::NextRecord() {
  absl::StatusOr<bool> more = input_.ReadLine(line_);
  if (!more.ok() || !*more) return more;
  record_line_ = ++lines_read_;
  field_count_ = 0;
  if (line_.ends_with('\r')) line_.pop_back();
  if (line_.empty()) {
    std::string rest;
    while ((more = input_.ReadLine(rest)).ok() && *more) {
      if (rest.empty() || rest == "\r") continue;
      return FileError(absl::StrCat(input_.name(), ":", record_line_), "an empty line");
    }
    return more;
  }
  if (line_.find('"') != std::string::npos) {
    if (absl::Status status = SplitQuoted(); !status.ok()) return status;
    return true;
  }
  for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = line_.find(delimiter_, begin);
    NewField().assign(line_, begin, end == std::string::npos ? end : end - begin);
  }
  return true;
}

std::string& CsvReader::NewField() {
  if (field_count_ == std::ssize(fields_)) fields_.emplace_back();
  fields_[field_count_].clear();
  return fields_[field_count_++];
}

std::size_t CsvReader::AfterBlanks(std::size_t i) const {
  while (i < line_.size() && line_[i] == ' ' && delimiter_ != ' ') ++i;
  return i;
}

absl::Status CsvReader::SplitQuoted() {
  for (std::size_t i = 0;; ++i) {
    std::string& field = NewField();
    const std::size_t open = AfterBlanks(i);
    if (open < line_.size() && line_[open] == '"') {
      i = open;
      if (absl::Status status = TakeQuoted(i, field); !status.ok()) return status;
      i = AfterBlanks(i);
    } else {
      const std::size_t end = std::min(line_.find(delimiter_, i), line_.size());
      field.assign(line_, i, end - i);
      i = end;
      if (field.find('"') != std::string::npos) {
        return FieldError(field_count_ - 1,
                          "has a quote within; the whole field must be quoted, and quotes in it "
                          "doubled");
      }
    }
    if (i == line_.size()) return absl::OkStatus();
    if (line_[i] != delimiter_) {
      return FieldError(
          field_count_ - 1,
          absl::StrCat("goes on with ", Quote(line_.substr(i, 1)), " after its closing quote; ",
                       Quote({&delimiter_, 1}), " or the end of the line must follow"));
    }
  }
}

absl::Status CsvReader::TakeQuoted(std::size_t& i, std::string& field) {
  ++i;
  while (true) {
    const std::size_t quote = line_.find('"', i);
    if (quote != std::string::npos) {
      field.append(line_, i, quote - i);
      i = quote + 1;
      if (i == line_.size() || line_[i] != '"') return absl::OkStatus();
      field += line_[i++];
      continue;
    }
    // The field goes on in the next line.
    field.append(line_, i);
    const absl::StatusOr<bool> more = input_.ReadLine(line_);
    if (!more.ok()) return more.status();
    if (!*more) return FieldError(field_count_ - 1, "opens a quote that is never closed");
    ++lines_read_;
    if (line_.ends_with('\r')) line_.pop_back();
    field += '\n';
    i = 0;
  }
}

absl::StatusOr<client::Table> CsvReader::Read(std::int64_t max_rows) {
  client::Table table = EmptyTable();
  while (table.rows < max_rows) {
    if (!pending_) {
      const absl::StatusOr<bool> more = NextRecord();
      if (!more.ok()) return more.status();
      if (!*more) break;
    }
    pending_ = false;
    if (absl::Status status = AppendRecord(table.values); !status.ok()) return status;
    ++table.rows;
  }
  return table;
}

absl::Status CsvReader::AppendRecord(std::vector<double>& values) {
  if (field_count_ != all_cols_) {
    return FileError(absl::StrCat(input_.name(), ":", record_line_),
                     absl::StrCat(field_count_, " fields where the first line has ", all_cols_));
  }
  if (row_lines_.empty() ||
      record_line_ - row_lines_.back().second != rows_read_ - row_lines_.back().first) {
    row_lines_.emplace_back(rows_read_, record_line_);
  }
  ++rows_read_;
  for (const int position : positions_) {
    double value = 0;
    if (!ParseNumber(fields_[position], value)) {
      const bool empty = fields_[position].find_first_not_of(" \t") == std::string::npos;
      if (!empty || !missing_)
        return FieldError(position, empty ? "is empty, not a number" : "is not a number");
      value = std::numeric_limits<double>::quiet_NaN();
    }
    if (!std::isfinite(value) && !(missing_ && std::isnan(value)))
      return FieldError(position, "is not a finite number");
    values.push_back(value);
  }
  return absl::OkStatus();
}

absl::Status CsvReader::FieldError(int column, std::string_view what) const {
  const std::string of = column < std::ssize(all_names_)
                             ? absl::StrCat(" (column ", Quote(all_names_[column]), ")")
                             : "";
  return FileError(absl::StrCat(input_.name(), ":", record_line_, ":", column + 1),
                   absl::StrCat(Quote(fields_[column]), " ", std::string(what), of));
}

std::string CsvReader::Location(std::int64_t row) const {
  const auto after =
      std::upper_bound(row_lines_.begin(), row_lines_.end(), row,
                       [](std::int64_t r, const auto& entry) { return r < entry.first; });
  if (after == row_lines_.begin()) return input_.name();
  const auto& [first, line] = *std::prev(after);
  return absl::StrCat(input_.name(), ":", line + row - first);
}

}  // namespace millrace::cli
