// SPDX-License-Identifier: Apache-2.0
// Errors of the user's own files, told apart from a server's for the exit code.
#ifndef MILLRACE_CLIENT_CLI_IO_FILE_ERROR_H_
#define MILLRACE_CLIENT_CLI_IO_FILE_ERROR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace millrace::cli {

// An error that lies in a file: `where` is "rows.csv", "rows.csv:12" or "rows.csv:12:3".
absl::Status FileError(std::string_view where, std::string_view what,
                       absl::StatusCode code = absl::StatusCode::kInvalidArgument);

// A file that the system refuses: `doing` is "cannot open" or the like, `error` an errno, which
// gives the words that follow and the code.
absl::Status SystemError(std::string_view where, std::string_view doing, int error);

// Whether `status` was made by one of these.
bool IsFileError(const absl::Status& status);

// `text` for an error message: control characters escaped, at most 40
// characters, in single quotes.
std::string Quote(std::string_view text);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_IO_FILE_ERROR_H_
