// SPDX-License-Identifier: Apache-2.0
// Bytes to read: a file, standard input, or an entry of a zip archive; gzip is undone on the way.
#ifndef MILLRACE_CLIENT_CLI_IO_INPUT_H_
#define MILLRACE_CLIENT_CLI_IO_INPUT_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace::cli {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Fills a part of `buffer` and returns its size, 0 at the end. A message without the file's name
  // when the bytes cannot be read or are damaged.
  virtual absl::StatusOr<std::size_t> Read(std::span<char> buffer) = 0;
};

// A file, or standard input for "-"; plain or gzip, told by the content. Errors name the path.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenBytes(const std::string& path);

// One array of an .npz archive: `key` or, when empty, "X", or the only array there is. Errors name
// the path and list the keys. `key` is set to the one taken.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenZipEntry(const std::string& path, std::string& key);

// A source with a buffer in front. All errors name the source.
class Input {
 public:
  Input(std::string name, std::unique_ptr<ByteSource> source)
      : name_(std::move(name)), source_(std::move(source)) {}

  const std::string& name() const { return name_; }

  // The next bytes without taking them: `count`, or fewer at the end. Valid until the next call.
  absl::StatusOr<std::string_view> Peek(std::size_t count);

  // Takes a line without its '\n'; false at the end. A line of more than 64 MiB is an error.
  absl::StatusOr<bool> ReadLine(std::string& line);

  // Fills `out` as far as there are bytes and returns their number.
  absl::StatusOr<std::size_t> Read(std::span<char> out);

 private:
  // Reads more into the buffer; false at the end.
  absl::StatusOr<bool> Fill();

  std::string name_;
  std::unique_ptr<ByteSource> source_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // of the bytes not yet taken
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_INPUT_H_
