// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/output.h"

#include <cerrno>

#include "client/cli/io/file_error.h"

namespace millrace::cli {

absl::StatusOr<Output> Output::Open(const std::string& path) {
  if (path == "-") return Output("standard output", stdout);
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return SystemError(path, "cannot write", errno);
  return Output(path, file);
}

Output::~Output() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
}

absl::Status Output::Error() const { return SystemError(name_, "cannot write", errno); }

absl::Status Output::Write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) return Error();
  return absl::OkStatus();
}

absl::Status Output::Close() {
  std::FILE* file = std::exchange(file_, nullptr);
  const bool failed = std::fflush(file) != 0 || (file != stdout && std::fclose(file) != 0);
  return failed ? Error() : absl::OkStatus();
}

}  // namespace millrace::cli
