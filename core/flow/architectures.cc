// SPDX-License-Identifier: Apache-2.0
#include "core/flow/architectures.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/flow/chain.h"
#include "core/flow/image_chain.h"
#include "core/flow/image_stack.h"
#include "core/math/low_rank.h"

namespace millrace {
namespace {

using Kind = ScalarBijection::Kind;

ScalarBijection BijectionOf(const StackSpec& stack) {
  switch (stack.architecture) {
    case Architecture::kNsfAutoregressive:
    case Architecture::kNsfCoupling:
      return {Kind::kRationalQuadratic, stack.bins, stack.bound};
    case Architecture::kNice:
      return {Kind::kAdditive};
    case Architecture::kMadeMog:
      return {Kind::kNormalMixture, stack.components};
    default:
      return {Kind::kAffine};
  }
}

NetworkShape NetworkOf(const StackSpec& stack) {
  if (stack.architecture == Architecture::kResidual)
    return {.hidden_sizes = stack.hidden_sizes, .activation = Activation::kTanh};
  return {stack.hidden_sizes, stack.residual, stack.activation};
}

LayerSpec LayerOf(const StackSpec& stack, int index) {
  const StackTraits traits = TraitsOf(stack.architecture);
  LayerSpec layer;
  if (traits.autoregressive) {
    layer.autoregressive = {BijectionOf(stack), NetworkOf(stack)};
    layer.inverse = stack.architecture == Architecture::kIaf;
  } else if (traits.coupling) {
    layer.coupling = {BijectionOf(stack), NetworkOf(stack), stack.mask, index % 2 == 1, index / 2};
  } else if (stack.architecture == Architecture::kResidual) {
    layer.residual = {NetworkOf(stack)};
  } else if (stack.architecture == Architecture::kPlanar) {
    layer.vector = {VectorBijection::Kind::kPlanar};
  } else if (stack.architecture == Architecture::kRadial) {
    layer.vector = {VectorBijection::Kind::kRadial};
  } else {
    layer.vector = {VectorBijection::Kind::kSylvester, stack.width};
  }
  return layer;
}

void AddMixing(Mixing mixing, int draw, std::vector<LayerSpec>& chain) {
  if (mixing == Mixing::kNone) return;
  chain.emplace_back().permutation = {mixing == Mixing::kReverse, draw};
  // A learned map beside a random permutation: the map starts as the identity.
  if (mixing == Mixing::kLu) chain.emplace_back().linear = {LinearLayer::Start::kIdentity};
}

std::vector<LayerSpec> ChainOfStack(const StackSpec& stack, bool conditional) {
  if (TraitsOf(stack.architecture).image) return ChainOfImageStack(stack, conditional);
  std::vector<LayerSpec> chain;
  if (stack.whiten) chain.emplace_back().linear = {LinearLayer::Start::kWhiten};
  for (int l = 0; l < stack.layers; ++l) {
    if (l > 0) AddMixing(stack.mixing, l, chain);
    if (stack.act_norm) chain.emplace_back().norm = {/*batch=*/false};
    chain.push_back(LayerOf(stack, l));
    if (stack.batch_norm) chain.emplace_back().norm = {/*batch=*/true};
  }
  if (stack.architecture == Architecture::kMafMog && stack.layers > 0) {
    AddMixing(stack.mixing, stack.layers, chain);
    chain.emplace_back().autoregressive = {{Kind::kNormalMixture, stack.components},
                                           NetworkOf(stack)};
  }
  if (stack.architecture == Architecture::kNice && stack.layers > 0)
    chain.emplace_back().elementwise = {Kind::kScale};
  if (stack.heavy_tails) chain.emplace_back().elementwise = {Kind::kLogTails};
  return chain;
}

absl::Status ValidateStack(const StackSpec& stack, int dim, int context_dim) {
  const StackTraits traits = TraitsOf(stack.architecture);
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.stack.layers", stack.layers, 0,
                                      traits.one_layer ? 1 : StackSpec::kMaxLayers));
  if (!traits.network) {
    if (context_dim > 0)
      return InvalidArgument("flow.stack.architecture", NameOf(stack.architecture),
                             "one with a network, which a condition can reach");
  } else {
    // With a context, some units serve the first column and others the later ones.
    const bool both = traits.autoregressive && context_dim > 0 && dim > 1;
    MILLRACE_RETURN_IF_ERROR(ValidateNetwork("flow.stack", NetworkOf(stack), both ? 2 : 1));
  }
  if (stack.architecture == Architecture::kResidual)
    for (const int size : stack.hidden_sizes)
      MILLRACE_RETURN_IF_ERROR(
          CheckRange("flow.stack.hidden_sizes", size, 1, ResidualLayer::kMaxHiddenSize));
  if (traits.spline) MILLRACE_RETURN_IF_ERROR(ValidateBijection("flow.stack", BijectionOf(stack)));
  if (traits.mixture)
    MILLRACE_RETURN_IF_ERROR(
        CheckRange("flow.stack.components", stack.components, 1, ScalarBijection::kMaxBins));
  if (stack.architecture == Architecture::kSylvester)
    MILLRACE_RETURN_IF_ERROR(
        CheckRange("flow.stack.width", stack.width, 1, std::min(dim, LowRank::kMaxWidth)));
  if (traits.coupling && dim == 1 && context_dim == 0)
    return InvalidArgument("flow.stack.architecture", NameOf(stack.architecture),
                           "an autoregressive one: with one column a coupling has none to keep");
  return absl::OkStatus();
}

}  // namespace

StackTraits TraitsOf(Architecture architecture) {
  switch (architecture) {
    case Architecture::kMade:
      return {.autoregressive = true, .network = true, .one_layer = true};
    case Architecture::kMaf:
    case Architecture::kIaf:
      return {.autoregressive = true, .network = true};
    case Architecture::kMadeMog:
      return {.autoregressive = true, .network = true, .mixture = true, .one_layer = true};
    case Architecture::kMafMog:
      return {.autoregressive = true, .network = true, .mixture = true};
    case Architecture::kNsfAutoregressive:
      return {.autoregressive = true, .network = true, .spline = true};
    case Architecture::kNice:
    case Architecture::kRealNvp:
      return {.coupling = true, .network = true};
    case Architecture::kNsfCoupling:
      return {.coupling = true, .network = true, .spline = true};
    case Architecture::kResidual:
      return {.network = true};
    case Architecture::kRealNvpImage:
    case Architecture::kGlow:
      return {.network = true, .image = true};
    case Architecture::kPlanar:
    case Architecture::kRadial:
    case Architecture::kSylvester:
      return {};
  }
  return {};
}

std::span<const Architecture> AllArchitectures() {
  static constexpr Architecture kAll[] = {
      Architecture::kMade,     Architecture::kMaf,          Architecture::kIaf,
      Architecture::kMadeMog,  Architecture::kMafMog,       Architecture::kNsfAutoregressive,
      Architecture::kNice,     Architecture::kRealNvp,      Architecture::kNsfCoupling,
      Architecture::kPlanar,   Architecture::kRadial,       Architecture::kSylvester,
      Architecture::kResidual, Architecture::kRealNvpImage, Architecture::kGlow,
  };
  return kAll;
}

const char* NameOf(Architecture architecture) {
  switch (architecture) {
    case Architecture::kMade:
      return "made";
    case Architecture::kMaf:
      return "maf";
    case Architecture::kIaf:
      return "iaf";
    case Architecture::kMadeMog:
      return "made-mog";
    case Architecture::kMafMog:
      return "maf-mog";
    case Architecture::kNsfAutoregressive:
      return "nsf-ar";
    case Architecture::kNice:
      return "nice";
    case Architecture::kRealNvp:
      return "realnvp";
    case Architecture::kNsfCoupling:
      return "nsf-c";
    case Architecture::kPlanar:
      return "planar";
    case Architecture::kRadial:
      return "radial";
    case Architecture::kSylvester:
      return "sylvester";
    case Architecture::kResidual:
      return "residual";
    case Architecture::kRealNvpImage:
      return "realnvp-image";
    case Architecture::kGlow:
      return "glow";
  }
  return "unknown";
}

static absl::Status ValidateImage(const FlowSpec& spec) {
  const bool wants = spec.stack && TraitsOf(spec.stack->architecture).image;
  if (!spec.image && !wants) return absl::OkStatus();
  if (!spec.image)
    return InvalidArgument("flow.stack.architecture", NameOf(spec.stack->architecture),
                           "flow.image, or an architecture of columns");
  if (spec.stack && !wants)
    return InvalidArgument("flow.stack.architecture", NameOf(spec.stack->architecture),
                           "one of images (realnvp-image or glow), or no flow.image");
  const ImageShape& image = *spec.image;
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.image.height", image.height, 1, FlowSpec::kMaxDim));
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.image.width", image.width, 1, FlowSpec::kMaxDim));
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.image.channels", image.channels, 1, FlowSpec::kMaxDim));
  const std::int64_t numbers = std::int64_t{image.height} * image.width * image.channels;
  if (numbers == spec.dim) return absl::OkStatus();
  return InvalidArgument("flow.image",
                         absl::StrCat(image.height, " x ", image.width, " x ", image.channels),
                         absl::StrCat("a product of ", spec.dim, ", the columns"));
}

absl::Status Validate(const FlowSpec& spec) {
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.dim", spec.dim, 1, FlowSpec::kMaxDim));
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.context_dim", spec.context_dim, 0, FlowSpec::kMaxDim));
  MILLRACE_RETURN_IF_ERROR(Validate(spec.base));
  if (spec.stack.has_value() == spec.chain.has_value())
    return InvalidArgument("flow", spec.stack ? "a stack and a chain" : "no architecture",
                           "a stack or a chain");
  MILLRACE_RETURN_IF_ERROR(ValidateImage(spec));
  if (spec.stack && spec.image)
    MILLRACE_RETURN_IF_ERROR(ValidateImageStack(*spec.stack, *spec.image));
  else if (spec.stack)
    MILLRACE_RETURN_IF_ERROR(ValidateStack(*spec.stack, spec.dim, spec.context_dim));
  else
    MILLRACE_RETURN_IF_ERROR(CheckRange("flow.chain.layers",
                                        static_cast<std::int64_t>(spec.chain->size()), 1,
                                        FlowSpec::kMaxChain));
  const std::string path = spec.stack ? "flow.stack" : "flow.chain.layers";
  if (spec.image)
    return ValidateImageChain(path, ChainOf(spec), *spec.image, spec.context_dim, spec.base);
  // A stack without layers is the Gaussian beside conditional flows.
  const int context_dim = !spec.stack || spec.stack->layers > 0 ? spec.context_dim : 0;
  return ValidateChain(path, ChainOf(spec), spec.dim, context_dim, spec.base);
}

std::vector<LayerSpec> ChainOf(const FlowSpec& spec) {
  return spec.stack ? ChainOfStack(*spec.stack, spec.context_dim > 0) : *spec.chain;
}

double EstimateParameters(const FlowSpec& spec) {
  double total = EstimateParameters(spec.base, spec.dim);
  if (spec.image)
    return total + EstimateImageParameters(ChainOf(spec), *spec.image, spec.context_dim);
  for (const LayerSpec& layer : ChainOf(spec))
    total += EstimateParameters(layer, spec.dim, spec.context_dim);
  return total;
}

}  // namespace millrace
