// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/png_reader.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"

namespace millrace::cli {
namespace {

constexpr std::int64_t kBlockNumbers = 1 << 19;

}  // namespace

absl::StatusOr<std::unique_ptr<TableReader>> PngReader::OpenFolder(const std::string& path,
                                                                   const ReadOptions& options) {
  std::vector<std::string> files;
  std::error_code error;
  std::filesystem::directory_iterator entry(path, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (name.starts_with('.') || !absl::EndsWithIgnoreCase(name, ".png") ||
        !entry->is_regular_file(ignored)) {
      continue;
    }
    files.push_back(entry->path().string());
  }
  if (error) return SystemError(path, "cannot read the folder", error.value());
  if (files.empty()) return FileError(path, "the folder holds no file whose name ends in .png");
  std::sort(files.begin(), files.end());
  return Open(std::move(files), options);
}

absl::StatusOr<std::unique_ptr<TableReader>> PngReader::Open(std::vector<std::string> files,
                                                             const ReadOptions& options) {
  if (!options.key.empty()) return FileError(files[0], "--key is for .npz archives, this is PNG");
  const auto first = ReadPng(files[0]);
  if (!first.ok()) return first.status();
  auto positions = ResolveColumns(options.columns, {}, static_cast<int>(first->shape.cols()));
  if (!positions.ok()) return FileError(files[0], std::string(positions.status().message()));
  std::unique_ptr<PngReader> reader(new PngReader(std::move(files)));
  reader->shape_ = first->shape;
  reader->positions_ = *std::move(positions);
  reader->cols_ = static_cast<int>(reader->positions_.size());
  reader->rows_ = std::ssize(reader->files_);
  if (options.columns.empty()) reader->image_shape_ = first->shape;
  return reader;
}

absl::StatusOr<client::Table> PngReader::Read(std::int64_t max_rows) {
  client::Table table = EmptyTable();
  max_rows = std::min(max_rows, std::max<std::int64_t>(1, kBlockNumbers / shape_.cols()));
  for (; table.rows < max_rows && next_ < files_.size(); ++next_, ++table.rows) {
    const auto picture = ReadPng(files_[next_]);
    if (!picture.ok()) return picture.status();
    if (picture->shape != shape_) {
      return FileError(files_[next_],
                       absl::StrCat("is ", ToText(picture->shape), ", and ", files_[0], " is ",
                                    ToText(shape_), "; all images must be of one size"));
    }
    for (const int position : positions_)
      table.values.push_back(picture->pixels[static_cast<std::size_t>(position)]);
  }
  return table;
}

std::string PngReader::Location(std::int64_t row) const {
  return row < std::ssize(files_) ? files_[static_cast<std::size_t>(row)] : files_.back();
}

}  // namespace millrace::cli
