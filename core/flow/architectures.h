// SPDX-License-Identifier: Apache-2.0
// The architectures: what chain of transforms a spec stands for.
#ifndef MILLRACE_CORE_FLOW_ARCHITECTURES_H_
#define MILLRACE_CORE_FLOW_ARCHITECTURES_H_

#include <memory>
#include <vector>

#include "core/exec/parameters.h"
#include "core/flow/flow_spec.h"
#include "core/transforms/transform.h"

namespace millrace {

// Parameters the spec asks for, padding aside; never overflows.
double EstimateParameters(const FlowSpec& spec);

// The chain of a valid spec, data first. Parameters are added to the layout as
// "<i>.<transform>.<name>".
std::vector<std::unique_ptr<const Transform>> BuildTransforms(const FlowSpec& spec,
                                                              ParameterLayout& layout);

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_ARCHITECTURES_H_
