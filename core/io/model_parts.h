// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_IO_MODEL_PARTS_H_
#define MILLRACE_CORE_IO_MODEL_PARTS_H_

#include "absl/status/status.h"
#include "core/flow/flow.h"
#include "core/model.h"

namespace millrace {

// Whether the parts of a model fit each other and hold what a model file may: common to writing and
// reading. INVALID_ARGUMENT whose message names the fault.
absl::Status CheckParts(const Model& model, const Flow& flow);

}  // namespace millrace

#endif  // MILLRACE_CORE_IO_MODEL_PARTS_H_
