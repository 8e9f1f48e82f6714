// SPDX-License-Identifier: Apache-2.0
#include "core/flow/image_stack.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/flow/chain.h"
#include "core/flow/image_chain.h"

namespace millrace {
namespace {

using Kind = ScalarBijection::Kind;

NetworkShape NetworkOf(const StackSpec& stack) {
  return {stack.hidden_sizes, stack.residual, stack.activation, stack.weight_norm};
}

void AddNorm(bool batch, std::vector<LayerSpec>& chain) { chain.emplace_back().norm = {batch}; }

// Couplings of one mask, which keep in turn what the last one moved.
void AddImageCouplings(const StackSpec& stack, Mask mask, int count,
                       std::vector<LayerSpec>& chain) {
  for (int l = 0; l < count; ++l) {
    if (stack.act_norm) AddNorm(false, chain);
    chain.emplace_back().coupling = {{Kind::kAffine}, NetworkOf(stack), mask, l % 2 == 1};
    if (stack.batch_norm) AddNorm(true, chain);
  }
}

// A step of Glow (Kingma, Dhariwal 2018, figure 2a).
void AddGlowStep(const StackSpec& stack, std::vector<LayerSpec>& chain) {
  AddNorm(stack.batch_norm, chain);
  chain.emplace_back().linear = {LinearLayer::Start::kRotation};
  chain.emplace_back().coupling = {
      {stack.additive ? Kind::kAdditive : Kind::kAffine}, NetworkOf(stack), Mask::kChannels};
}

// The rotations of a level are of four times the channels that the one before left.
absl::Status ValidateGlowChannels(const StackSpec& stack, const ImageShape& image) {
  double set_up = 0.0;
  std::int64_t channels = image.channels;
  for (int level = 0; level < stack.levels; ++level, channels = (channels + 1) / 2) {
    channels *= 4;
    set_up += stack.layers * std::pow(static_cast<double>(channels), 3.0);
    if (channels <= LinearLayer::kMaxRotationDim) continue;
    if (level > 0) return CheckRange("flow.stack.levels", stack.levels, 1, level);
    return CheckRange("flow.image.channels", image.channels, 1, LinearLayer::kMaxRotationDim / 4);
  }
  return ValidateSetUp("flow.stack.layers", set_up);
}

}  // namespace

absl::Status ValidateImageStack(const StackSpec& stack, const ImageShape& image) {
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.stack.layers", stack.layers, 1, StackSpec::kMaxLayers));
  // Glow halves both sides at every level, RealNVP at all but the last, whose checkerboards need
  // two pixels.
  const bool glow = stack.architecture == Architecture::kGlow;
  int most = glow ? 0 : 1;
  for (int height = image.height, width = image.width;
       std::min(height, width) >= 2 && (glow || height / 2 * (width / 2) >= 2);
       height /= 2, width /= 2)
    ++most;
  if (most == 0)
    return InvalidArgument("flow.image", absl::StrCat(image.height, " x ", image.width),
                           "at least 2 x 2 pixels for Glow");
  if (image.height * image.width < 2)
    return InvalidArgument("flow.image", absl::StrCat(image.height, " x ", image.width),
                           "at least two pixels, of which checkerboards keep one");
  MILLRACE_RETURN_IF_ERROR(
      CheckRange("flow.stack.levels", stack.levels, 1, std::min(most, StackSpec::kMaxLevels)));
  if (glow) MILLRACE_RETURN_IF_ERROR(ValidateGlowChannels(stack, image));
  MILLRACE_RETURN_IF_ERROR(
      ValidateNetwork("flow.stack", NetworkOf(stack), 1, /*convolutions=*/true));
  const int halves = glow ? 2 : 1;
  return ValidateActivations("flow.stack.hidden_sizes", stack.hidden_sizes,
                             {image.height / halves, image.width / halves});
}

std::vector<LayerSpec> ChainOfImageStack(const StackSpec& stack, bool conditional) {
  std::vector<LayerSpec> chain;
  const bool glow = stack.architecture == Architecture::kGlow;
  for (int level = 0; level < stack.levels; ++level) {
    const bool last = level + 1 == stack.levels;
    if (!glow) AddImageCouplings(stack, Mask::kCheckerboard, stack.layers + last, chain);
    if (glow || !last) chain.emplace_back().squeeze.emplace();
    for (int l = 0; glow && l < stack.layers; ++l) AddGlowStep(stack, chain);
    if (!glow && !last) AddImageCouplings(stack, Mask::kChannels, stack.layers, chain);
    if (!last) chain.emplace_back().factor_out.emplace();
  }
  AddNorm(false, chain);
  if (conditional)
    chain.emplace_back().coupling = {{Kind::kAffine}, {.hidden_sizes = {32}}, Mask::kNone};
  return chain;
}

}  // namespace millrace
