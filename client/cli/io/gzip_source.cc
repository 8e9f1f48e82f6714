// SPDX-License-Identifier: Apache-2.0
// OpenBytes: zlib's gzread passes bytes through where there is no gzip header.
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

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(gzFile file) : file_(file) { gzbuffer(file_, 1 << 17); }
  ~GzipSource() override { gzclose_r(file_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  absl::StatusOr<std::size_t> Read(std::span<char> buffer) override {
    const int got = gzread(file_, buffer.data(), static_cast<unsigned>(buffer.size()));
    int code = Z_OK;
    const char* message = gzerror(file_, &code);
    // A stream that is cut off gives its last bytes first; zlib says so with Z_BUF_ERROR.
    if (code == Z_BUF_ERROR) return absl::DataLossError("the gzip stream is cut off");
    if (code == Z_ERRNO) return absl::DataLossError(absl::StrCat("cannot read: ", strerror(errno)));
    if (got < 0) return absl::DataLossError(absl::StrCat("the gzip stream is damaged: ", message));
    return static_cast<std::size_t>(got);
  }

 private:
  gzFile file_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenBytes(const std::string& path) {
  const int descriptor = path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return FileError(path, absl::StrCat("cannot open: ", strerror(errno)));
  struct stat info = {};
  if (fstat(descriptor, &info) == 0 && S_ISDIR(info.st_mode)) {
    close(descriptor);
    return FileError(path, "is a directory");
  }
  const gzFile file = gzdopen(descriptor, "rb");
  if (file == nullptr) {
    close(descriptor);
    return FileError(path, "cannot open: out of memory");
  }
  return std::make_unique<GzipSource>(file);
}

}  // namespace millrace::cli
