// SPDX-License-Identifier: Apache-2.0
// millrace.v1.FlowSpec to what the trainer takes, and from what a model has.
#ifndef MILLRACE_SERVER_RPC_FLOW_MESSAGE_H_
#define MILLRACE_SERVER_RPC_FLOW_MESSAGE_H_

#include "absl/status/statusor.h"
#include "core/train/train_model.h"
#include "millrace/v1/flow_spec.pb.h"

namespace millrace {

// INVALID_ARGUMENT naming the field for an unknown enum value or a layer without transform. What is
// out of range stays so, and is named by the core's own checks.
absl::StatusOr<FlowChoice> ReadFlow(const v1::FlowSpec& flow);

// Only what the architecture has a use for is set.
void WriteFlow(const FlowSpec& spec, v1::FlowSpec* message);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_FLOW_MESSAGE_H_
