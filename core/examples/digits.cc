// SPDX-License-Identifier: Apache-2.0
#include "core/examples/digits.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"

namespace millrace::examples {
namespace {

// A quarter of 255, full ink: strokes are thinner than cells.
constexpr float kThreshold = 63.75f;

using File = std::unique_ptr<gzFile_s, int (*)(gzFile)>;

struct Header {
  std::int64_t images = 0;
  int height = 0;
  int width = 0;
};

absl::StatusOr<Header> ReadHeader(const std::string& path, gzFile file) {
  // Four big-endian numbers: what the file holds (unsigned bytes, three dimensions), and its sizes.
  std::array<unsigned char, 16> bytes;
  if (gzread(file, bytes.data(), bytes.size()) != static_cast<int>(bytes.size()))
    return InvalidArgument("digits", path, "an idx file, which begins with 16 bytes of sizes");
  const auto number = [&](int i) {
    return std::int64_t{bytes[4 * i]} << 24 | bytes[4 * i + 1] << 16 | bytes[4 * i + 2] << 8 |
           bytes[4 * i + 3];
  };
  const auto fits = [](std::int64_t side) { return side >= kDigitSide && side <= 1024; };
  if (number(0) != 0x803 || !fits(number(2)) || !fits(number(3)))
    return InvalidArgument(
        "digits", path,
        absl::StrCat("an idx file of images of ", kDigitSide, " to 1024 pixels a side"));
  return Header{number(1), static_cast<int>(number(2)), static_cast<int>(number(3))};
}

// The share of source pixel s of `size` in cell c, in units of a cell, at [c * size + s].
std::vector<float> Shares(int size) {
  std::vector<float> shares(static_cast<std::size_t>(kDigitSide) * size);
  const double cell = static_cast<double>(size) / kDigitSide;
  for (int c = 0; c < kDigitSide; ++c) {
    for (int s = 0; s < size; ++s) {
      const double overlap = std::min(s + 1.0, (c + 1) * cell) - std::max<double>(s, c * cell);
      shares[static_cast<std::size_t>(c) * size + s] =
          static_cast<float>(std::max(0.0, overlap) / cell);
    }
  }
  return shares;
}

// Averages the image along its rows, then along its columns.
void Reduce(const std::vector<unsigned char>& image, const std::vector<float>& down,
            const std::vector<float>& across, float* cells) {
  const std::size_t height = down.size() / kDigitSide;
  const std::size_t width = across.size() / kDigitSide;
  std::fill_n(cells, kDigitPixels, 0.0f);
  for (std::size_t y = 0; y < height; ++y) {
    for (int c = 0; c < kDigitSide; ++c) {
      float ink = 0.0f;
      for (std::size_t x = 0; x < width; ++x)
        ink += across[c * width + x] * static_cast<float>(image[y * width + x]);
      for (int r = 0; r < kDigitSide; ++r) cells[r * kDigitSide + c] += down[r * height + y] * ink;
    }
  }
  for (int i = 0; i < kDigitPixels; ++i) cells[i] = cells[i] >= kThreshold ? 1.0f : 0.0f;
}

}  // namespace

absl::StatusOr<Rows<float>> ReadDigits(const std::string& path) {
  const File file(gzopen(path.c_str(), "rb"), &gzclose);
  if (file == nullptr) return absl::NotFoundError(absl::StrCat("digits: there is no ", path));
  MILLRACE_ASSIGN_OR_RETURN(const Header header, ReadHeader(path, file.get()));
  const std::vector<float> down = Shares(header.height);
  const std::vector<float> across = Shares(header.width);
  std::vector<unsigned char> image(static_cast<std::size_t>(header.height) * header.width);
  // Grows as it is read, whatever the header promises.
  std::vector<float> cells;
  for (std::int64_t i = 0; i < header.images; ++i) {
    const int read = gzread(file.get(), image.data(), static_cast<unsigned>(image.size()));
    if (read != static_cast<int>(image.size()))
      return InvalidArgument("digits", path,
                             absl::StrCat(header.images, " images, and not ", i, " alone"));
    cells.resize(cells.size() + kDigitPixels);
    Reduce(image, down, across, &cells[cells.size() - kDigitPixels]);
  }
  Rows<float> digits(header.images, kDigitPixels);
  std::copy(cells.begin(), cells.end(), digits.data());
  return digits;
}

}  // namespace millrace::examples
