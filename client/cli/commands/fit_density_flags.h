// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_FIT_DENSITY_FLAGS_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_FIT_DENSITY_FLAGS_H_

#include <CLI/CLI.hpp>

#include "millrace/v1/fit_density_messages.pb.h"

namespace millrace::cli {

// Adds the flags of `millrace fit-density` and `distill` that say which flow to fit and how; they
// are put straight into `spec`, which outlives the command.
void AddFitDensityFlags(CLI::App& command, v1::FitDensitySpec& spec);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_FIT_DENSITY_FLAGS_H_
