// SPDX-License-Identifier: Apache-2.0
// The command line and the environment as a Config.
#ifndef MILLRACE_SERVER_FLAGS_H_
#define MILLRACE_SERVER_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/app/build_info.h"
#include "server/app/config.h"

namespace millrace {

// Every flag --some_name may also be given as the environment variable MILLRACE_SOME_NAME; the flag
// wins. INVALID_ARGUMENT for a malformed variable or a stray argument; values are not validated.
// --help and --version print and exit with 0; an unknown or malformed flag prints and exits with 1.
// At most once.
absl::StatusOr<Config> ConfigFromFlags(int argc, char** argv, const BuildInfo& build);

// Variables MILLRACE_... of the environment that no program of Millrace reads: misspelt, perhaps.
std::vector<std::string> UnknownVariables();

}  // namespace millrace

#endif  // MILLRACE_SERVER_FLAGS_H_
