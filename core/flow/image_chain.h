// SPDX-License-Identifier: Apache-2.0
// Chains of layers of images. A layer works on what has not left yet, an image of some height,
// width and number of channels:
//
//   coupling     its network is one of convolutions; masks are those of images, or of columns
//   norm, linear, permutation, elementwise
//                of channels, the same for every pixel: ActNorm or batch-norm, and an invertible
//                1x1 convolution
//   squeeze      to half the height and width and four times the channels
//   factor_out   half of the channels leaves
//
// Latent rows hold what is left at the end, channel by channel, and before it stands nothing;
// behind it what left, last first.
#ifndef MILLRACE_CORE_FLOW_IMAGE_CHAIN_H_
#define MILLRACE_CORE_FLOW_IMAGE_CHAIN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/flow/flow_spec.h"
#include "core/transforms/image_columns.h"
#include "core/transforms/transform.h"

namespace millrace {

// INVALID_ARGUMENT unless each layer is one of images, with sizes in range that suit what has not
// left yet, and all take and give all real numbers, as the base does. Errors name fields below
// `path`.
absl::Status ValidateImageChain(const std::string& path, const std::vector<LayerSpec>& chain,
                                const ImageShape& image, int context_dim, const BaseSpec& base);

// INVALID_ARGUMENT naming `field` where networks of these channels would make too much of an image.
absl::Status ValidateActivations(const std::string& field, const std::vector<int>& hidden_sizes,
                                 const Grid& grid);

// Floats that a valid chain's parameters take, about, their padding included; never overflows.
double EstimateImageParameters(const std::vector<LayerSpec>& chain, const ImageShape& image,
                               int context_dim);

// The transforms of a valid chain. Parameters are added to the layout as "<i>.<transform>.<name>".
std::vector<std::unique_ptr<const Transform>> BuildImageChain(const std::vector<LayerSpec>& chain,
                                                              const ImageShape& image,
                                                              int context_dim, std::uint64_t seed,
                                                              ParameterLayout& layout);

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_IMAGE_CHAIN_H_
