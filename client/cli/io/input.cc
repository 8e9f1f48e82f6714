// SPDX-License-Identifier: Apache-2.0
#include "client/cli/io/input.h"

#include <algorithm>
#include <cstring>

#include "client/cli/io/file_error.h"

namespace millrace::cli {
namespace {

constexpr std::size_t kBlock = 1 << 18;
constexpr std::size_t kLongestLine = 64 << 20;

}  // namespace

absl::StatusOr<bool> Input::Fill() {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
  begin_ = 0;
  const std::size_t old_size = buffer_.size();
  buffer_.resize(old_size + kBlock);
  const absl::StatusOr<std::size_t> got = source_->Read(std::span(buffer_).subspan(old_size));
  buffer_.resize(old_size + got.value_or(0));
  if (!got.ok()) {
    return FileError(name_, std::string(got.status().message()), got.status().code());
  }
  return *got > 0;
}

absl::StatusOr<std::string_view> Input::Peek(std::size_t count) {
  while (buffer_.size() - begin_ < count) {
    const absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (!*more) break;
  }
  return std::string_view(buffer_.data() + begin_, std::min(count, buffer_.size() - begin_));
}

absl::StatusOr<bool> Input::ReadLine(std::string& line) {
  line.clear();
  while (true) {
    const char* begin = buffer_.data() + begin_;
    const std::size_t size = buffer_.size() - begin_;
    const void* newline = size > 0 ? std::memchr(begin, '\n', size) : nullptr;
    const std::size_t taken =
        newline != nullptr ? static_cast<std::size_t>(static_cast<const char*>(newline) - begin)
                           : size;
    line.append(begin, taken);
    begin_ += taken + (newline != nullptr ? 1 : 0);
    if (newline != nullptr) return true;
    if (line.size() > kLongestLine)
      return FileError(name_, "a line of more than 64 MiB: not a CSV file");
    const absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (!*more) return !line.empty();
  }
}

absl::StatusOr<std::size_t> Input::Read(std::span<char> out) {
  std::size_t filled = 0;
  while (filled < out.size()) {
    if (begin_ == buffer_.size()) {
      const absl::StatusOr<bool> more = Fill();
      if (!more.ok()) return more.status();
      if (!*more) break;
    }
    const std::size_t count = std::min(out.size() - filled, buffer_.size() - begin_);
    std::memcpy(out.data() + filled, buffer_.data() + begin_, count);
    begin_ += count;
    filled += count;
  }
  return filled;
}

}  // namespace millrace::cli
