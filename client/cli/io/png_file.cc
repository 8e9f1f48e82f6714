// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/png_file.h"

#include <png.h>

#include <array>
#include <cerrno>
#include <csetjmp>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/table_reader.h"

namespace millrace::cli {
namespace {

using File = std::unique_ptr<std::FILE, decltype(&std::fclose)>;
using Message = std::array<char, 128>;

// libpng reports an error by a jump. The two functions that it jumps back into, and those that call
// it from there, hold nothing that would have to be destroyed.
void OnError(png_structp png, png_const_charp text) {
  auto* message = static_cast<Message*>(png_get_error_ptr(png));
  std::snprintf(message->data(), message->size(), "%s", text);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

bool ReadHeader(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_sig_bytes(png, static_cast<int>(kPngMagic.size()));
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // the size is checked after this
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // nor texts nor colours
  png_read_info(png, info);
  return true;
}

bool ReadPixels(png_structp png, png_infop info, png_bytepp lines) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_expand(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  png_read_image(png, lines);
  png_read_end(png, nullptr);
  return true;
}

class Decoder {
 public:
  explicit Decoder(std::FILE* file)
      : png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, &message_, OnError, OnWarning)),
        info_(png_ == nullptr ? nullptr : png_create_info_struct(png_)),
        file_(file) {}
  ~Decoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  absl::StatusOr<Picture> Decode() {
    if (info_ == nullptr) return absl::ResourceExhaustedError("out of memory");
    png_init_io(png_, file_);
    if (!ReadHeader(png_, info_)) return Damaged();
    const auto shape = Shape();
    if (!shape.ok()) return shape.status();
    Picture picture{*shape, std::vector<unsigned char>(static_cast<std::size_t>(shape->cols()))};
    std::vector<png_bytep> lines(static_cast<std::size_t>(shape->height));
    const std::size_t stride = picture.pixels.size() / lines.size();
    for (std::size_t y = 0; y < lines.size(); ++y) lines[y] = picture.pixels.data() + y * stride;
    if (!ReadPixels(png_, info_, lines.data())) return Damaged();
    return picture;
  }

 private:
  absl::Status Damaged() const {
    if (std::feof(file_) != 0) return absl::DataLossError("the PNG is cut off");
    return absl::DataLossError(absl::StrCat("the PNG is damaged: ", message_.data()));
  }

  absl::StatusOr<ImageShape> Shape() const {
    const int depth = png_get_bit_depth(png_, info_);
    if (depth == 16) {
      return absl::InvalidArgumentError(
          "has 16 bits a channel; images of up to 8 bits a channel are read");
    }
    const int color = png_get_color_type(png_, info_);
    if ((color & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(png_, info_, PNG_INFO_tRNS) != 0) {
      return absl::InvalidArgumentError(
          "has transparent pixels or an alpha channel; opaque images, grey or colour, are read");
    }
    // Below 2^31 each, by the format.
    const std::int64_t height = png_get_image_height(png_, info_);
    const std::int64_t width = png_get_image_width(png_, info_);
    const int channels = (color & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1;
    if (height * width > kMostColumns / channels) {
      return absl::InvalidArgumentError(absl::StrCat("is ", height, " x ", width, " x ", channels,
                                                     "; images of at most ", kMostColumns,
                                                     " numbers are read"));
    }
    return ImageShape{static_cast<int>(height), static_cast<int>(width), channels};
  }

  Message message_ = {};
  png_structp png_;
  png_infop info_;
  std::FILE* file_;
};

}  // namespace

absl::StatusOr<Picture> ReadPng(const std::string& path) {
  const File file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) return SystemError(path, "cannot open", errno);
  std::array<char, kPngMagic.size()> magic = {};
  const std::size_t got = std::fread(magic.data(), 1, magic.size(), file.get());
  if (std::ferror(file.get()) != 0) return SystemError(path, "cannot read", errno);
  if (std::string_view(magic.data(), got) != kPngMagic) return FileError(path, "is not a PNG");
  auto picture = Decoder(file.get()).Decode();
  if (!picture.ok()) {
    return FileError(path, std::string(picture.status().message()), picture.status().code());
  }
  return picture;
}

absl::StatusOr<std::string> EncodePng(const Picture& picture) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.shape.width);
  image.height = static_cast<png_uint_32>(picture.shape.height);
  image.format = picture.shape.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, picture.pixels.data(), 0,
                                nullptr) == 0) {
    return absl::InvalidArgumentError(image.message);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace millrace::cli
