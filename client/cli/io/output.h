// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_IO_OUTPUT_H_
#define MILLRACE_CLIENT_CLI_IO_OUTPUT_H_

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace::cli {

// A file that is written, or standard output for "-". What a file held stays until the first Write
// or Close, and a file that was not there is not until then. Movable.
class Output {
 public:
  static absl::StatusOr<Output> Open(const std::string& path);

  Output(Output&& other) noexcept
      : name_(std::move(other.name_)),
        file_(std::exchange(other.file_, nullptr)),
        begun_(other.begun_) {}
  Output& operator=(Output&&) = delete;
  ~Output();

  absl::Status Write(std::string_view bytes);
  // Flushes and closes; everything is with the operating system when it returns OK.
  absl::Status Close();

 private:
  Output(std::string name, std::FILE* file) : name_(std::move(name)), file_(file) {}
  absl::Status Begin();
  absl::Status Error() const;

  std::string name_;
  std::FILE* file_;  // null: is made by Begin
  bool begun_ = false;
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_OUTPUT_H_
