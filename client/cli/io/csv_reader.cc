// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/csv_reader.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/number.h"

namespace millrace::cli {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

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
  const auto mark = input.Peek(kByteOrderMark.size());
  if (!mark.ok()) return mark.status();
  if (*mark == kByteOrderMark) {
    std::string skipped(kByteOrderMark.size(), '\0');
    (void)input.Read(skipped);
  }
  const auto start = input.Peek(1 << 16);
  if (!start.ok()) return start.status();
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
    if (field_count_ == std::ssize(fields_)) fields_.emplace_back();
    fields_[field_count_++].assign(line_, begin, end == std::string::npos ? end : end - begin);
  }
  return true;
}

absl::Status CsvReader::SplitQuoted() {
  bool quoted = false;
  const auto new_field = [this]() -> std::string& {
    if (field_count_ == std::ssize(fields_)) fields_.emplace_back();
    fields_[field_count_].clear();
    return fields_[field_count_++];
  };
  std::string* field = &new_field();
  for (std::size_t i = 0;; ++i) {
    if (i == line_.size()) {
      if (!quoted) return absl::OkStatus();
      // The quoted field goes on in the next line.
      const absl::StatusOr<bool> more = input_.ReadLine(line_);
      if (!more.ok()) return more.status();
      if (!*more) return FieldError(field_count_ - 1, "opens a quote that is never closed");
      ++lines_read_;
      if (line_.ends_with('\r')) line_.pop_back();
      *field += '\n';
      i = static_cast<std::size_t>(-1);
    } else if (line_[i] == '"') {
      const bool doubled = quoted && i + 1 < line_.size() && line_[i + 1] == '"';
      if (doubled) *field += line_[i++];
      if (!doubled) quoted = !quoted;
    } else if (line_[i] == delimiter_ && !quoted) {
      field = &new_field();
    } else {
      *field += line_[i];
    }
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
      const bool missing = fields_[position].find_first_not_of(" \t") == std::string::npos;
      return FieldError(position, missing ? "is missing" : "is not a number");
    }
    if (!std::isfinite(value)) return FieldError(position, "is not a finite number");
    values.push_back(value);
  }
  return absl::OkStatus();
}

absl::Status CsvReader::FieldError(int column, const char* what) const {
  const std::string of = column < std::ssize(all_names_)
                             ? absl::StrCat(" (column ", Quote(all_names_[column]), ")")
                             : "";
  return FileError(absl::StrCat(input_.name(), ":", record_line_, ":", column + 1),
                   absl::StrCat(Quote(fields_[column]), " ", what, of));
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
