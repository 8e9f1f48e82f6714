// SPDX-License-Identifier: Apache-2.0
#include "core/io/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

absl::Status FileError(int error, absl::string_view action, const std::string& path) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot ", action, " ", path));
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  // Errors of delayed writes come with close on some file systems.
  int Close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError(errno, "write", path);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

// Reads on from where the file stands, until `bytes` has `size` bytes or the file ends.
absl::Status ReadUpTo(int fd, std::int64_t size, const std::string& path, std::string& bytes) {
  std::size_t have = bytes.size();
  bytes.resize(static_cast<std::size_t>(size));
  while (have < bytes.size()) {
    const ssize_t got = ::read(fd, bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError(errno, "read", path);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return absl::OkStatus();
}

absl::Status WriteNewFile(const std::string& path, absl::string_view bytes) {
  Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL);
  if (!file.ok()) return FileError(errno, "create", path);
  absl::Status status = WriteAll(file.fd(), bytes, path);
  if (status.ok() && ::fsync(file.fd()) != 0) status = FileError(errno, "fsync", path);
  if (status.ok() && file.Close() != 0) status = FileError(errno, "close", path);
  if (!status.ok()) ::unlink(path.c_str());
  return status;
}

// A name that no other writer uses: of this process by the counter, of others by the process id.
// One that a crash left is removed by nobody but is in nobody's way either: O_EXCL reports it.
std::string TemporaryName(const std::string& path) {
  static std::atomic<std::uint64_t> counter{0};
  return absl::StrCat(path, ".", ::getpid(), ".", counter.fetch_add(1), ".tmp");
}

}  // namespace

absl::Status WriteFileDurably(const std::string& path, absl::string_view bytes) {
  const std::string temporary = TemporaryName(path);
  MILLRACE_RETURN_IF_ERROR(WriteNewFile(temporary, bytes));
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return FileError(error, "rename a file to", path);
  }
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor directory(folder, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) return FileError(errno, "open", folder);
  if (::fsync(directory.fd()) != 0) return FileError(errno, "fsync", folder);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, std::int64_t max_bytes,
                                          const StartCheck& check) {
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);
  if (!file.ok()) return FileError(errno, "open", path);
  struct stat status;
  if (::fstat(file.fd(), &status) != 0) return FileError(errno, "inspect", path);
  if (!S_ISREG(status.st_mode))
    return absl::FailedPreconditionError(absl::StrCat(path, " is not a regular file"));
  if (status.st_size > max_bytes)
    return absl::DataLossError(absl::StrCat(path, " has ", status.st_size, " bytes; at most ",
                                            max_bytes, " are possible"));
  std::string bytes;
  MILLRACE_RETURN_IF_ERROR(
      ReadUpTo(file.fd(), std::min<std::int64_t>(status.st_size, kStartBytes), path, bytes));
  if (check) MILLRACE_RETURN_IF_ERROR(check(bytes, status.st_size));
  MILLRACE_RETURN_IF_ERROR(ReadUpTo(file.fd(), status.st_size, path, bytes));
  return bytes;
}

}  // namespace millrace
