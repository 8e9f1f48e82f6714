// SPDX-License-Identifier: Apache-2.0
// Chains of layers: what makes one valid, and its transforms.
#ifndef MILLRACE_CORE_FLOW_CHAIN_H_
#define MILLRACE_CORE_FLOW_CHAIN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/exec/parameters.h"
#include "core/flow/flow_spec.h"
#include "core/transforms/transform.h"

namespace millrace {

// Errors name fields below `path`.

// INVALID_ARGUMENT unless low <= value <= high.
absl::Status CheckRange(const std::string& field, std::int64_t value, std::int64_t low,
                        std::int64_t high);

// INVALID_ARGUMENT for kStandardise, and unless bins and bound, where the bijection has them, are
// in range.
absl::Status ValidateBijection(const std::string& path, const ScalarBijection& bijection);

// INVALID_ARGUMENT unless hidden sizes are in range and fit the kind of network, as does
// weight_norm; `smallest` is the least hidden size. `convolutions`: the network is one of
// convolutions, over images.
absl::Status ValidateNetwork(const std::string& path, const NetworkShape& network, int smallest,
                             bool convolutions = false);

// INVALID_ARGUMENT unless each layer is one transform with sizes in range, takes all values that
// the layers before give, real numbers at first, and the last gives just the values of the base.
absl::Status ValidateChain(const std::string& path, const std::vector<LayerSpec>& chain, int dim,
                           int context_dim, const BaseSpec& base);

// INVALID_ARGUMENT unless the layer is exactly one transform, with sizes in range. `of_images`: it
// is in a chain of images, whose coupling layers have networks of convolutions.
absl::Status ValidateLayer(const std::string& path, const LayerSpec& layer, int dim,
                           int context_dim, bool of_images = false);

// Multiplications that a layer takes, cubic in its width, whenever a flow is made of the spec:
// rotations are drawn, and the matrices of residual layers are bounded.
double SetUpSteps(const LayerSpec& layer, int dim);
// INVALID_ARGUMENT where those of a chain are more than some seconds' worth.
absl::Status ValidateSetUp(const std::string& path, double steps);

// Floats of a row of `cols` parameters, as ParameterLayout pads it.
double RowFloats(double cols);

// Floats that the parameters of a network take, about.
double NetworkParameters(const NetworkShape& network, double inputs, double context_dim,
                         double outputs);

// Floats that a valid layer's parameters take, about, their padding included; never overflows.
double EstimateParameters(const LayerSpec& layer, int dim, int context_dim);

// The transforms of a valid chain, not one of images. Parameters are added to the layout as
// "<i>.<transform>.<name>".
std::vector<std::unique_ptr<const Transform>> BuildChain(const std::vector<LayerSpec>& chain,
                                                         int dim, int context_dim,
                                                         std::uint64_t seed,
                                                         ParameterLayout& layout);

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_CHAIN_H_
