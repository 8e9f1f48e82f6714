// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/reader_adapters.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"

namespace millrace::cli {
namespace {

constexpr char kLabel[] = "label";
constexpr std::int64_t kRowsToSkip = 4096;  // in one go

class LabelledReader : public TableReader {
 public:
  LabelledReader(NamedReader of, NamedReader labels)
      : of_(std::move(of)), labels_(std::move(labels)) {
    column_names_ = NamesOf(of_.reader->column_names(), of_.reader->cols());
    column_names_.emplace_back(kLabel);
    cols_ = of_.reader->cols() + 1;
    rows_ = of_.reader->rows();
    image_shape_ = of_.reader->image_shape();
  }

  absl::StatusOr<client::Table> Read(std::int64_t max_rows) override {
    auto rows = of_.reader->Read(max_rows);
    if (!rows.ok()) return rows.status();
    std::vector<double> labels;
    while (std::ssize(labels) < std::max<std::int64_t>(rows->rows, 1)) {
      auto more = labels_.reader->Read(std::max<std::int64_t>(rows->rows - std::ssize(labels), 1));
      if (!more.ok()) return more.status();
      if (more->rows == 0) break;
      labels.insert(labels.end(), more->values.begin(), more->values.end());
    }
    const std::int64_t begin = rows_read_;
    rows_read_ += rows->rows;
    if (std::ssize(labels) != rows->rows) return CountBoth(begin + std::ssize(labels));
    client::Table table = EmptyTable();
    table.rows = rows->rows;
    for (std::int64_t r = 0; r < rows->rows; ++r) {
      table.values.insert(table.values.end(), rows->row(r).begin(), rows->row(r).end());
      table.values.push_back(labels[static_cast<std::size_t>(r)]);
    }
    return table;
  }

  std::string Location(std::int64_t row) const override { return of_.reader->Location(row); }

  // The error of two numbers that differ.
  absl::Status Differ(std::int64_t rows, std::int64_t labels) const {
    return FileError(labels_.name, absl::StrCat("holds ", labels, " labels for the ", rows,
                                                " rows of ", of_.name));
  }

 private:
  // Reads what is left of both to say how many there are; rows_read_ rows and so many labels were
  // read.
  absl::Status CountBoth(std::int64_t labels_read) {
    for (const auto& [reader, count] : {std::pair(of_.reader.get(), &rows_read_),
                                        std::pair(labels_.reader.get(), &labels_read)}) {
      while (true) {
        const auto piece = reader->Read(kRowsToSkip);
        if (!piece.ok()) return piece.status();
        if (piece->rows == 0) break;
        *count += piece->rows;
      }
    }
    return Differ(rows_read_, labels_read);
  }

  NamedReader of_;
  NamedReader labels_;
  std::int64_t rows_read_ = 0;
};

class RangeReader : public TableReader {
 public:
  RangeReader(NamedReader of, const RowRange& range) : of_(std::move(of)), range_(range) {
    column_names_ = of_.reader->column_names();
    cols_ = of_.reader->cols();
    image_shape_ = of_.reader->image_shape();
    if (range_.end || of_.reader->rows()) {
      rows_ = (range_.end ? *range_.end : *of_.reader->rows()) - range_.begin;
    }
  }

  absl::StatusOr<client::Table> Read(std::int64_t max_rows) override {
    while (at_ < range_.begin) {
      const auto skipped = of_.reader->Read(std::min(kRowsToSkip, range_.begin - at_));
      if (!skipped.ok()) return skipped.status();
      if (skipped->rows == 0) return EndsAt(at_);
      at_ += skipped->rows;
    }
    const std::int64_t wanted = range_.end ? std::min(max_rows, *range_.end - at_) : max_rows;
    if (wanted == 0) return EmptyTable();
    auto rows = of_.reader->Read(wanted);
    if (!rows.ok()) return rows.status();
    if (rows->rows == 0 && (range_.end || at_ == range_.begin)) return EndsAt(at_);
    at_ += rows->rows;
    return rows;
  }

  std::string Location(std::int64_t row) const override {
    return of_.reader->Location(range_.begin + row);
  }

  // The error of a table of so many rows.
  absl::Status EndsAt(std::int64_t rows) const {
    return FileError(of_.name, absl::StrCat("has ", rows, " rows, too few for rows ", range_.begin,
                                            ":", range_.end ? absl::StrCat(*range_.end) : ""));
  }

 private:
  NamedReader of_;
  RowRange range_;
  std::int64_t at_ = 0;  // row of the table that comes next
};

}  // namespace

absl::StatusOr<std::unique_ptr<TableReader>> JoinLabels(NamedReader rows, NamedReader labels) {
  if (labels.reader->cols() != 1) {
    return FileError(labels.name, absl::StrCat("has ", labels.reader->cols(),
                                               " columns; labels are a single one"));
  }
  const std::vector<std::string>& names = rows.reader->column_names();
  if (std::find(names.begin(), names.end(), kLabel) != names.end()) {
    return FileError(rows.name,
                     "has a column 'label' itself; labels from another file are for "
                     "tables without");
  }
  const auto row_count = rows.reader->rows();
  const auto label_count = labels.reader->rows();
  auto joined = std::make_unique<LabelledReader>(std::move(rows), std::move(labels));
  if (row_count && label_count && row_count != label_count) {
    return joined->Differ(*row_count, *label_count);
  }
  return joined;
}

absl::StatusOr<RowRange> ParseRowRange(const std::string& text) {
  const std::size_t colon = text.find(':');
  RowRange range;
  std::int64_t end = 0;
  bool good = colon != std::string::npos;
  if (good && colon > 0) good = absl::SimpleAtoi(text.substr(0, colon), &range.begin);
  if (good && colon + 1 < text.size()) {
    good = absl::SimpleAtoi(text.substr(colon + 1), &end) && end > range.begin;
    range.end = end;
  }
  if (good && range.begin >= 0) return range;
  return absl::InvalidArgumentError(absl::StrCat(
      "is ", Quote(text), ", not BEGIN:END such as 0:50000, with BEGIN from 0 and END ",
      "above it; either may be left out"));
}

absl::StatusOr<std::unique_ptr<TableReader>> TakeRows(NamedReader rows, const RowRange& range) {
  const auto count = rows.reader->rows();
  auto taken = std::make_unique<RangeReader>(std::move(rows), range);
  if (count && (range.end ? *range.end > *count : range.begin >= *count)) {
    return taken->EndsAt(*count);
  }
  return taken;
}

}  // namespace millrace::cli
