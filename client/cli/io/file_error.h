// SPDX-License-Identifier: Apache-2.0
// Errors of the user's own files, told apart from a server's for the exit code.
#ifndef MILLRACE_CLIENT_CLI_IO_FILE_ERROR_H_
#define MILLRACE_CLIENT_CLI_IO_FILE_ERROR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace millrace::cli {

// An error that lies in a file: `where` is "rows.csv", "rows.csv:12" or "rows.csv:12:3".
absl::Status FileError(std::string_view where, std::string_view what);

// Whether `status` was made by FileError.
bool IsFileError(const absl::Status& status);

// `text` for an error message: control characters escaped, at most 40
// characters, in single quotes.
std::string Quote(std::string_view text);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_FILE_ERROR_H_
