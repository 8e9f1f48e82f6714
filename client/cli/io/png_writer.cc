// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/png_writer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/output.h"
#include "client/cli/io/png_file.h"

namespace millrace::cli {
namespace {

constexpr int kGap = 2;
constexpr unsigned char kGrey = 128;  // beside black and beside white

unsigned char ToByte(double value) {
  if (std::isnan(value)) return kGrey;
  return static_cast<unsigned char>(std::lround(std::clamp(value, 0.0, 255.0)));
}

// Images side by side, and lines and pixels of a line of the picture.
struct Layout {
  std::int64_t across, height, width;
};

Layout LayOut(const ImageShape& shape, std::int64_t count, int columns) {
  const auto square = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  const std::int64_t across = columns > 0 ? std::min<std::int64_t>(columns, count) : square;
  const std::int64_t down = (count + across - 1) / across;
  return {across, down * (shape.height + kGap) - kGap, across * (shape.width + kGap) - kGap};
}

class PngWriter : public TableWriter {
 public:
  PngWriter(std::string path, Output output, const ImageShape& shape, int columns)
      : path_(std::move(path)), output_(std::move(output)), shape_(shape), columns_(columns) {}

  absl::Status Write(std::span<const double> values) override {
    const std::int64_t count = (std::ssize(pixels_) + std::ssize(values)) / shape_.cols();
    if (absl::Status status = CheckPicture(path_, shape_, count, columns_); !status.ok())
      return status;
    for (const double value : values) pixels_.push_back(ToByte(value));
    return absl::OkStatus();
  }

  absl::Status Close() override {
    const std::int64_t count = std::ssize(pixels_) / shape_.cols();
    if (count == 0) return FileError(path_, "there is no image to show");
    const auto [across, height, width] = LayOut(shape_, count, columns_);
    const auto bytes = EncodePng(
        Grid({static_cast<int>(height), static_cast<int>(width), shape_.channels}, count, across));
    if (!bytes.ok()) return FileError(path_, std::string(bytes.status().message()));
    absl::Status status = output_.Write(*bytes);
    status.Update(output_.Close());
    return status;
  }

 private:
  Picture Grid(const ImageShape& shape, std::int64_t count, std::int64_t across) const {
    Picture grid{shape, std::vector<unsigned char>(static_cast<std::size_t>(shape.cols()), kGrey)};
    const std::int64_t line = std::int64_t{shape_.width} * shape_.channels;
    auto from = pixels_.begin();
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t top = i / across * (shape_.height + kGap);
      const std::int64_t left = i % across * (shape_.width + kGap);
      for (int y = 0; y < shape_.height; ++y, from += line) {
        std::copy(from, from + line,
                  grid.pixels.begin() + ((top + y) * shape.width + left) * shape.channels);
      }
    }
    return grid;
  }

  std::string path_;
  Output output_;
  ImageShape shape_;
  int columns_;
  std::vector<unsigned char> pixels_;  // of all images, one after the other
};

}  // namespace

absl::Status CheckPicture(const std::string& path, const ImageShape& shape, std::int64_t count,
                          int columns) {
  if (count == 0) return absl::OkStatus();
  if (count <= kMostNumbersOfPicture) {
    const Layout layout = LayOut(shape, count, columns);
    if (layout.height <= kMostNumbersOfPicture / shape.channels / layout.width)
      return absl::OkStatus();
  }
  return FileError(path,
                   absl::StrCat("a picture of more than ", kMostNumbersOfPicture,
                                " numbers is too large; let it show fewer images"),
                   absl::StatusCode::kResourceExhausted);
}

absl::StatusOr<std::unique_ptr<TableWriter>> OpenPngWriter(const std::string& path,
                                                           const ImageShape& shape, int columns) {
  auto output = Output::Open(path);
  if (!output.ok()) return output.status();
  return std::make_unique<PngWriter>(path, *std::move(output), shape, columns);
}

}  // namespace millrace::cli
