// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_FLOW_FLAGS_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_FLOW_FLAGS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "millrace/v1/flow_spec.pb.h"

namespace millrace::cli {

// Adds the flags of `millrace train` that say which flow to train; they are put straight into
// `flow`, which outlives the command.
void AddFlowFlags(CLI::App& command, v1::FlowSpec& flow);

// For people: "maf, 5 layers of 100x100 tanh units, ...".
std::string FlowText(const v1::FlowSpec& flow);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_FLOW_FLAGS_H_
