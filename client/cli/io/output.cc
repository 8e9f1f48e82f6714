// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/output.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "client/cli/io/file_error.h"

namespace millrace::cli {

absl::StatusOr<Output> Output::Open(const std::string& path) {
  if (path == "-") return Output("standard output", stdout);
  std::error_code ignored;
  const bool is_there = std::filesystem::exists(path, ignored);
  std::FILE* file = std::fopen(path.c_str(), "ab");
  if (file == nullptr) return SystemError(path, "cannot write", errno);
  if (is_there) return Output(path, file);
  std::fclose(file);
  std::filesystem::remove(path, ignored);
  return Output(path, nullptr);
}

Output::~Output() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
}

absl::Status Output::Begin() {
  if (std::exchange(begun_, true) || file_ == stdout) return absl::OkStatus();
  if (file_ == nullptr) {
    file_ = std::fopen(name_.c_str(), "wb");
    return file_ == nullptr ? Error() : absl::OkStatus();
  }
  // Devices and pipes hold nothing, and say EINVAL.
  if (ftruncate(fileno(file_), 0) != 0 && errno != EINVAL) return Error();
  return absl::OkStatus();
}

absl::Status Output::Error() const { return SystemError(name_, "cannot write", errno); }

absl::Status Output::Write(std::string_view bytes) {
  if (absl::Status status = Begin(); !status.ok()) return status;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) return Error();
  return absl::OkStatus();
}

absl::Status Output::Close() {
  if (absl::Status status = Begin(); !status.ok()) return status;
  std::FILE* file = std::exchange(file_, nullptr);
  const bool failed = std::fflush(file) != 0 || (file != stdout && std::fclose(file) != 0);
  return failed ? Error() : absl::OkStatus();
}

}  // namespace millrace::cli
