// SPDX-License-Identifier: Apache-2.0
// Whole files, read and written so that a crash never leaves half of one.
#ifndef MILLRACE_CORE_IO_DURABLE_FILE_H_
#define MILLRACE_CORE_IO_DURABLE_FILE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace millrace {

// Writes to a temporary name in the same folder (created exclusively), fsyncs, renames to `path`,
// fsyncs the folder. After OK the whole file stands under `path` and survives a crash. After an
// error the temporary file is gone and `path` is as it was, except when only the folder's fsync
// failed: then the new file stands there, whole, but may not survive a crash. The status has the
// code and text of errno and the path. Thread-safe; of two writers of one path one wins.
absl::Status WriteFileDurably(const std::string& path, absl::string_view bytes);

// Judges a file of `size` bytes by its first min(size, kStartBytes): an error refuses it.
using StartCheck = std::function<absl::Status(absl::string_view start, std::int64_t size)>;
inline constexpr std::int64_t kStartBytes = 512;

// NOT_FOUND when there is none; FAILED_PRECONDITION when it is not a regular file; DATA_LOSS when
// it is longer than `max_bytes`; what `check` returns, before memory for the file is taken; else as
// errno says.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, std::int64_t max_bytes,
                                          const StartCheck& check = {});

}  // namespace millrace

#endif  // MILLRACE_CORE_IO_DURABLE_FILE_H_
