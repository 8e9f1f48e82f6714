// SPDX-License-Identifier: Apache-2.0
// OpenBytes: a gzip file (RFC 1952) is one member or several; anything else passes as it is.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "client/cli/io/file_error.h"
#include "client/cli/io/input.h"

namespace millrace::cli {
namespace {

constexpr std::size_t kBlock = 1 << 17;
constexpr std::string_view kGzipMagic = "\x1f\x8b";

class FileSource : public ByteSource {
 public:
  explicit FileSource(int descriptor) : descriptor_(descriptor) {}
  ~FileSource() override { close(descriptor_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  absl::StatusOr<std::size_t> Read(std::span<char> buffer) override {
    if (ended_) return 0;  // a terminal would be asked again
    ssize_t got = 0;
    do {
      got = read(descriptor_, buffer.data(), buffer.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) return absl::ErrnoToStatus(errno, "cannot read");
    ended_ = got == 0;
    return static_cast<std::size_t>(got);
  }

 private:
  const int descriptor_;
  bool ended_ = false;
};

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<ByteSource> file) : file_(std::move(file)) {
    stream_.next_in = reinterpret_cast<Bytef*>(block_.data());
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  // Reads the first bytes, which tell gzip from anything else.
  absl::Status Start() {
    while (stream_.avail_in < kGzipMagic.size()) {
      const absl::StatusOr<std::size_t> got = Fill();
      if (!got.ok()) return got.status();
      if (*got == 0) break;
    }
    is_gzip_ = Given().starts_with(kGzipMagic);
    constexpr int kGzipOnly = 16;
    if (is_gzip_ && inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) {
      return absl::ResourceExhaustedError("out of memory");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::size_t> Read(std::span<char> buffer) override {
    if (!is_gzip_) return Pass(buffer);
    stream_.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream_.avail_out = static_cast<uInt>(buffer.size());
    while (stream_.avail_out == buffer.size()) {
      if (stream_.avail_in == 0) {
        const absl::StatusOr<std::size_t> got = Fill();
        if (!got.ok()) return got.status();
        if (*got == 0 && !between_members_) {
          return absl::DataLossError("the gzip stream is cut off");
        }
        if (*got == 0) return 0;
      }
      if (absl::Status status = Inflate(); !status.ok()) return status;
    }
    return buffer.size() - stream_.avail_out;
  }

 private:
  std::string_view Given() const {
    return {reinterpret_cast<const char*>(stream_.next_in), stream_.avail_in};
  }

  // Reads on behind the bytes that are given; 0 at the end.
  absl::StatusOr<std::size_t> Fill() {
    std::memmove(block_.data(), stream_.next_in, stream_.avail_in);
    stream_.next_in = reinterpret_cast<Bytef*>(block_.data());
    const auto got = file_->Read(std::span(block_).subspan(stream_.avail_in));
    stream_.avail_in += static_cast<uInt>(got.value_or(0));
    return got;
  }

  absl::StatusOr<std::size_t> Pass(std::span<char> buffer) {
    if (stream_.avail_in == 0) return file_->Read(buffer);
    const std::size_t count = Given().copy(buffer.data(), buffer.size());
    stream_.next_in += count;
    stream_.avail_in -= static_cast<uInt>(count);
    return count;
  }

  absl::Status Inflate() {
    if (between_members_) {
      if (Given().front() != kGzipMagic.front()) {
        return absl::DataLossError("the gzip stream is followed by bytes that are not gzip");
      }
      inflateReset(&stream_);
      between_members_ = false;
    }
    const int code = inflate(&stream_, Z_NO_FLUSH);
    between_members_ = code == Z_STREAM_END;
    if (code == Z_OK || code == Z_STREAM_END) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("the gzip stream is damaged: ",
                                            stream_.msg != nullptr ? stream_.msg : zError(code)));
  }

  std::unique_ptr<ByteSource> file_;
  std::vector<char> block_ = std::vector<char>(kBlock);
  z_stream stream_ = {};  // its input is what was read and not yet used
  bool is_gzip_ = false;
  bool between_members_ = false;  // one has ended and the next has not begun
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenBytes(const std::string& path) {
  const int descriptor = path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return SystemError(path, "cannot open", errno);
  auto file = std::make_unique<FileSource>(descriptor);
  struct stat info = {};
  if (fstat(descriptor, &info) == 0 && S_ISDIR(info.st_mode)) {
    return FileError(path, "is a directory");
  }
  auto source = std::make_unique<GzipSource>(std::move(file));
  if (absl::Status status = source->Start(); !status.ok()) {
    return FileError(path, std::string(status.message()), status.code());
  }
  return source;
}

}  // namespace millrace::cli
