// SPDX-License-Identifier: Apache-2.0
// Stacks of images: RealNVP with checkerboards and Glow as chains of layers.
#ifndef MILLRACE_CORE_FLOW_IMAGE_STACK_H_
#define MILLRACE_CORE_FLOW_IMAGE_STACK_H_

#include <vector>

#include "absl/status/status.h"
#include "core/flow/flow_spec.h"

namespace millrace {

// INVALID_ARGUMENT unless there is such a stack for images of this shape. What is wrong with a
// layer is told of the stack's own field.
absl::Status ValidateImageStack(const StackSpec& stack, const ImageShape& image);

// The chain of a valid stack: levels, each of which leaves half of its channels behind; at the end,
// a learned location and scale of each channel, or, with a condition, of each column given the
// condition.
std::vector<LayerSpec> ChainOfImageStack(const StackSpec& stack, bool conditional);

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_IMAGE_STACK_H_
