// SPDX-License-Identifier: Apache-2.0
// The architectures: what chain of layers a stack stands for.
#ifndef MILLRACE_CORE_FLOW_ARCHITECTURES_H_
#define MILLRACE_CORE_FLOW_ARCHITECTURES_H_

#include <span>
#include <vector>

#include "core/flow/flow_spec.h"

namespace millrace {

// Which parts of a StackSpec an architecture has.
struct StackTraits {
  bool autoregressive = false;
  bool coupling = false;
  bool network = false;  // a conditioner, or a residual layer's network
  bool spline = false;   // bins and bound
  bool mixture = false;  // components
  bool one_layer = false;
  bool image = false;  // levels; FlowSpec::image is wanted
};
StackTraits TraitsOf(Architecture architecture);

// In the order of the enum.
std::span<const Architecture> AllArchitectures();

// "maf", "nsf-c" ...: how specs, files and the command line call it.
const char* NameOf(Architecture architecture);

// The chain of a valid spec, data first: that of its stack, or its own.
std::vector<LayerSpec> ChainOf(const FlowSpec& spec);

// Floats that the parameters of a valid spec take, about, their padding included; never overflows.
double EstimateParameters(const FlowSpec& spec);

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_ARCHITECTURES_H_
