// SPDX-License-Identifier: Apache-2.0
// PNG files as rows, and pictures of rows. libpng's own functions write what is read here, and read
// what is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <zlib.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>

#include "client/cli/io/png_file.h"
#include "client/cli/io/png_writer.h"
#include "client/cli/io/table_reader.h"
#include "tests/client/cli/files.h"

namespace millrace::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

// An image as it stands in a file; lines are packed as the format has them.
struct Stored {
  std::uint32_t height = 1;
  std::uint32_t width = 1;
  int color = PNG_COLOR_TYPE_GRAY;
  int depth = 8;
  std::vector<unsigned char> lines = {};
  int interlace = PNG_INTERLACE_NONE;
  std::vector<png_color> palette = {};
  bool transparent_color = false;
  double gamma = 0;  // 0: not said
};

void AppendTo(png_structp png, png_bytep bytes, std::size_t size) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<char*>(bytes), size);
}

// The bytes of the file; an error of libpng ends the program.
std::string PngOf(const Stored& image) {
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &bytes, AppendTo, nullptr);
  png_set_IHDR(png, info, image.width, image.height, image.depth, image.color, image.interlace,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!image.palette.empty())
    png_set_PLTE(png, info, image.palette.data(), static_cast<int>(image.palette.size()));
  const png_color_16 transparent = {};
  if (image.transparent_color) png_set_tRNS(png, info, nullptr, 0, &transparent);
  if (image.gamma > 0) png_set_gAMA(png, info, image.gamma);
  png_write_info(png, info);
  const std::size_t stride = png_get_rowbytes(png, info);
  EXPECT_EQ(image.lines.size(), stride * image.height);
  const int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; ++pass) {
    for (std::uint32_t y = 0; y < image.height; ++y)
      png_write_row(png, image.lines.data() + y * stride);
  }
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

std::vector<unsigned char> Pixels(std::size_t count) {
  std::vector<unsigned char> pixels(count);
  for (std::size_t i = 0; i < count; ++i) pixels[i] = static_cast<unsigned char>(i * i * 37 + 5);
  return pixels;
}

Stored Grey(std::uint32_t height, std::uint32_t width) {
  return {.height = height, .width = width, .lines = Pixels(std::size_t{height} * width)};
}

class Png : public ::testing::Test {
 protected:
  // The numbers of one file.
  absl::StatusOr<client::Table> Read(const std::string& bytes, const ReadOptions& options = {}) {
    return ReadAll(folder_.Write("a.png", bytes), options);
  }
  std::string Folder(const std::string& name,
                     const std::vector<std::pair<std::string, std::string>>& files) {
    std::filesystem::create_directory(folder_.Path(name));
    for (const auto& [file, bytes] : files) folder_.Write(name + "/" + file, bytes);
    return folder_.Path(name);
  }
  TempFolder folder_;
};

TEST_F(Png, OneFileIsOneRow) {
  Stored color{.height = 2, .width = 3, .color = PNG_COLOR_TYPE_RGB, .lines = Pixels(18)};
  for (const auto& [image, shape] : {std::pair<Stored, ImageShape>{Grey(5, 3), {5, 3, 1}},
                                     std::pair<Stored, ImageShape>{color, {2, 3, 3}}}) {
    const auto table = Read(PngOf(image));
    ASSERT_TRUE(table.ok()) << table.status();
    EXPECT_EQ(table->values, std::vector<double>(image.lines.begin(), image.lines.end()));
    const auto reader = OpenTable(folder_.Path("a.png"), {});
    EXPECT_EQ((*reader)->image_shape(), shape);
    EXPECT_EQ((*reader)->rows(), 1);
    EXPECT_THAT((*reader)->Location(0), EndsWith("a.png"));
  }
  EXPECT_THAT(Read(PngOf(color), {.columns = {"17", "0"}})->values,
              ElementsAre(color.lines[17], color.lines[0]));
}

TEST_F(Png, FewBitsPalettesAndInterlacingAreUndone) {
  EXPECT_THAT(Read(PngOf({.width = 3, .depth = 1, .lines = {0b10100000}}))->values,
              ElementsAre(255, 0, 255));
  EXPECT_THAT(Read(PngOf({.width = 3, .depth = 2, .lines = {0b00011100}}))->values,
              ElementsAre(0, 85, 255));
  EXPECT_THAT(Read(PngOf({.width = 2,
                          .color = PNG_COLOR_TYPE_PALETTE,
                          .lines = {1, 0},
                          .palette = {{1, 2, 3}, {4, 5, 6}}}))
                  ->values,
              ElementsAre(4, 5, 6, 1, 2, 3));
  Stored interlaced = Grey(11, 13);
  const auto plain = Read(PngOf(interlaced))->values;
  interlaced.interlace = PNG_INTERLACE_ADAM7;
  EXPECT_EQ(Read(PngOf(interlaced))->values, plain);
}

TEST_F(Png, GammaChangesNoNumber) {
  Stored image = Grey(4, 4);
  image.gamma = 1;
  EXPECT_EQ(Read(PngOf(image))->values,
            std::vector<double>(image.lines.begin(), image.lines.end()));
}

TEST_F(Png, RefusesWhatIsNotOpaqueOrMoreThan8Bits) {
  const std::string alpha = "a.png: has transparent pixels or an alpha channel";
  EXPECT_THAT(ErrorOf(Read(PngOf({.color = PNG_COLOR_TYPE_GRAY_ALPHA, .lines = {1, 2}}))),
              HasSubstr(alpha));
  EXPECT_THAT(ErrorOf(Read(PngOf({.color = PNG_COLOR_TYPE_RGBA, .lines = {1, 2, 3, 4}}))),
              HasSubstr(alpha));
  EXPECT_THAT(ErrorOf(Read(PngOf({.lines = {1}, .transparent_color = true}))), HasSubstr(alpha));
  EXPECT_THAT(ErrorOf(Read(PngOf({.depth = 16, .lines = {1, 2}}))),
              EndsWith("a.png: has 16 bits a channel; images of up to 8 bits a channel are read"));
  EXPECT_THAT(ErrorOf(Read(PngOf(Grey(1, 1)), {.key = "X"})), HasSubstr("--key is for .npz"));
}

// The file with another size declared, its checksum right.
std::string Declaring(std::string bytes, std::uint32_t width, std::uint32_t height) {
  constexpr std::size_t kChunk = 12;  // "IHDR", then width and height
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (24 - 8 * i));
  };
  put(kChunk + 4, width);
  put(kChunk + 8, height);
  const auto* chunk = reinterpret_cast<const Bytef*>(bytes.data() + kChunk);
  put(kChunk + 17, static_cast<std::uint32_t>(crc32(0, chunk, 17)));
  return bytes;
}

TEST_F(Png, HugeDeclaredSizesCostNothing) {
  const std::string bytes = PngOf(Grey(1, 1));
  constexpr std::uint32_t kHuge = 0x7fffffff;
  EXPECT_THAT(
      ErrorOf(Read(Declaring(bytes, kHuge, kHuge))),
      EndsWith("a.png: is 2147483647 x 2147483647 x 1; images of at most 1048576 numbers are "
               "read"));
  EXPECT_THAT(ErrorOf(Read(Declaring(bytes, 1025, 1024))), HasSubstr("is 1024 x 1025 x 1"));
  EXPECT_THAT(ErrorOf(Read(Declaring(bytes, 1024, 1024))),
              EndsWith("a.png: the PNG is damaged: Not enough image data"));
  EXPECT_THAT(ErrorOf(Read(Declaring(bytes, kHuge + 1, 1))), HasSubstr("the PNG is damaged: "));
  EXPECT_THAT(ErrorOf(Read(Declaring(bytes, 0, 1))), HasSubstr("the PNG is damaged: "));
}

// Wherever the file is cut off, and whichever byte is changed, there is an error, or the numbers
// are those of the whole file.
TEST_F(Png, SeesFilesCutOffOrDamaged) {
  Stored image = Grey(9, 7);
  for (const int interlace : {PNG_INTERLACE_NONE, PNG_INTERLACE_ADAM7}) {
    image.interlace = interlace;
    const std::string bytes = PngOf(image);
    const auto whole = Read(bytes)->values;
    for (std::size_t size = kPngMagic.size(); size < bytes.size(); ++size) {
      EXPECT_THAT(ErrorOf(Read(bytes.substr(0, size))), EndsWith("a.png: the PNG is cut off"))
          << size;
    }
    for (std::size_t at = kPngMagic.size(); at < bytes.size(); ++at) {
      for (const char change : {'\x01', '\x20', '\x80'}) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ change);
        const auto table = Read(damaged);
        if (table.ok()) {
          EXPECT_EQ(table->values, whole) << at;
        } else {
          EXPECT_THAT(ErrorOf(table), HasSubstr("a.png: the PNG is ")) << at;
        }
      }
    }
  }
}

TEST_F(Png, AFolderIsATable) {
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<double> expected;
  for (const char* name : {"0.png", "1.PNG", "10.png", "2.png"}) {
    Stored image = Grey(2, 2);
    image.lines[0] = static_cast<unsigned char>(files.size());
    expected.insert(expected.end(), image.lines.begin(), image.lines.end());
    files.emplace_back(name, PngOf(image));
  }
  std::swap(files[0], files[3]);
  files.emplace_back("labels.csv", "1\n");
  files.emplace_back(".hidden.png", "no PNG");
  const std::string path = Folder("digits", files);
  std::filesystem::create_directory(path + "/folder.png");
  const auto reader = OpenTable(path, {});
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->image_shape(), (ImageShape{2, 2, 1}));
  EXPECT_EQ((*reader)->rows(), 4);
  EXPECT_EQ(ReadAll(**reader)->values, expected);
  EXPECT_THAT((*reader)->Location(2), EndsWith("digits/10.png"));
}

TEST_F(Png, AFolderHoldsImagesOfOneSize) {
  EXPECT_THAT(ErrorOf(ReadAll(Folder("empty", {{"a.txt", "a"}}))),
              EndsWith("empty: the folder holds no file whose name ends in .png"));
  const auto mixed = ErrorOf(
      ReadAll(Folder("mixed", {{"a.png", PngOf(Grey(2, 3))}, {"b.png", PngOf(Grey(3, 2))}})));
  EXPECT_THAT(mixed, HasSubstr("mixed/b.png: is 3 x 2 x 1, and "));
  EXPECT_THAT(mixed, EndsWith("mixed/a.png is 2 x 3 x 1; all images must be of one size"));
  EXPECT_THAT(ErrorOf(ReadAll(Folder("text", {{"a.png", PngOf(Grey(2, 3))}, {"b.png", "1,2"}}))),
              EndsWith("text/b.png: is not a PNG"));
  EXPECT_THAT(ErrorOf(ReadAll(Folder("none", {{"a.png", ""}}))),
              EndsWith("none/a.png: is not a PNG"));
}

// --- Pictures.

class Pictures : public Png {
 protected:
  // Writes `values` in two parts, and reads the picture with libpng.
  Picture Show(const std::vector<double>& values, const ImageShape& shape, int columns = 0) {
    auto writer = OpenPngWriter(folder_.Path("p.png"), shape, columns);
    EXPECT_TRUE(writer.ok()) << writer.status();
    const auto half = values.size() / shape.cols() / 2 * shape.cols();
    EXPECT_TRUE((*writer)->Write(std::span(values).first(half)).ok());
    EXPECT_TRUE((*writer)->Write(std::span(values).subspan(half)).ok());
    EXPECT_TRUE((*writer)->Close().ok());
    png_image image = {};
    image.version = PNG_IMAGE_VERSION;
    EXPECT_TRUE(png_image_begin_read_from_file(&image, folder_.Path("p.png").c_str()));
    EXPECT_EQ(image.format, shape.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB);
    Picture picture{{static_cast<int>(image.height), static_cast<int>(image.width), shape.channels},
                    std::vector<unsigned char>(PNG_IMAGE_SIZE(image))};
    EXPECT_TRUE(png_image_finish_read(&image, nullptr, picture.pixels.data(), 0, nullptr));
    return picture;
  }
};

TEST_F(Pictures, RoundsAndClamps) {
  const double inf = std::numeric_limits<double>::infinity();
  const Picture picture = Show({-3, 0.49, 0.5, 254.6, 300, inf, -inf, std::nan("")}, {2, 4, 1});
  EXPECT_THAT(picture.pixels, ElementsAre(0, 0, 1, 255, 255, 255, 0, 128));
}

TEST_F(Pictures, AGridIsAboutSquare) {
  const Picture three = Show({1, 2, 3}, {1, 1, 1});
  EXPECT_EQ(three.shape, (ImageShape{4, 4, 1}));
  EXPECT_THAT(three.pixels, ElementsAre(1, 128, 128, 2,      //
                                        128, 128, 128, 128,  //
                                        128, 128, 128, 128,  //
                                        3, 128, 128, 128));
  EXPECT_EQ(Show(std::vector<double>(2 * 3 * 10), {2, 3, 1}).shape, (ImageShape{10, 18, 1}));
  EXPECT_EQ(Show({7}, {1, 1, 1}).shape, (ImageShape{1, 1, 1}));
}

TEST_F(Pictures, OfAsManyColumnsAsAskedFor) {
  const Picture strip = Show({1, 2, 3, 4, 5, 6}, {1, 1, 3}, 2);
  EXPECT_EQ(strip.shape, (ImageShape{1, 4, 3}));
  EXPECT_THAT(strip.pixels, ElementsAre(1, 2, 3, 128, 128, 128, 128, 128, 128, 4, 5, 6));
  EXPECT_EQ(Show({1, 2, 3, 4, 5, 6}, {2, 1, 1}, 1).shape, (ImageShape{10, 1, 1}));
  EXPECT_EQ(Show({1, 2, 3, 4, 5, 6}, {2, 1, 1}, 100).shape, (ImageShape{2, 7, 1}));
}

TEST_F(Pictures, ReadBackAsTheyWere) {
  const std::vector<unsigned char> pixels = Pixels(7 * 5 * 3);
  Show(std::vector<double>(pixels.begin(), pixels.end()), {7, 5, 3});
  const auto table = ReadAll(folder_.Path("p.png"));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->values, std::vector<double>(pixels.begin(), pixels.end()));
}

TEST_F(Pictures, SaysWhatItCannotWrite) {
  EXPECT_THAT(ErrorOf(OpenPngWriter(folder_.Path("no/p.png"), {1, 1, 1})),
              HasSubstr("no/p.png: cannot write"));
  auto empty = OpenPngWriter(folder_.Path("p.png"), {1, 1, 1});
  EXPECT_THAT(std::string((*empty)->Close().message()), EndsWith("there is no image to show"));
  auto large = OpenPngWriter(folder_.Path("p.png"), {1, 1 << 20, 1});
  const std::vector<double> row(1 << 20);
  absl::Status status;
  for (int i = 0; status.ok() && i < 1000; ++i) status = (*large)->Write(row);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("p.png: a picture of more than 134217728"));
  auto full = OpenPngWriter("/dev/full", {1, 1, 1});
  ASSERT_TRUE((*full)->Write(std::vector<double>{1}).ok());
  EXPECT_THAT(std::string((*full)->Close().message()), HasSubstr("No space left"));
}

}  // namespace
}  // namespace millrace::cli
