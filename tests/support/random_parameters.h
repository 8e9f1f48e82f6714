// SPDX-License-Identifier: Apache-2.0
// Parameters that leave nothing trivially zero, the last layers of networks included.
#ifndef MILLRACE_TESTS_SUPPORT_RANDOM_PARAMETERS_H_
#define MILLRACE_TESTS_SUPPORT_RANDOM_PARAMETERS_H_

#include <cstdint>
#include <vector>

#include "core/exec/parameters.h"
#include "core/flow/flow.h"
#include "core/transforms/transform.h"

namespace millrace {

// Moderate random numbers (floats), so that the map is well conditioned; zero wherever the layout
// asks for zeros: in padding, outside masks, beyond triangles. Those places are found as the ones
// whose gradient the plain kernels leave at zero. Running statistics are positive, like variances;
// what transforms constrain is as they want it.
std::vector<double> RandomParameters(const Transform& transform, const ParameterLayout& layout,
                                     int dim, int context_dim, std::uint64_t seed);
std::vector<double> RandomParameters(const Flow& flow, std::uint64_t seed);

// The float parameters a transform or flow starts from, as doubles.
std::vector<double> InitialParameters(const Transform& transform, const ParameterLayout& layout,
                                      std::uint64_t seed);
std::vector<double> InitialParameters(const Flow& flow);

// Back to floats, exactly.
ParameterValues AsFloats(const std::vector<double>& parameters);

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_RANDOM_PARAMETERS_H_
