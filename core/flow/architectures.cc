// SPDX-License-Identifier: Apache-2.0
#include "core/flow/architectures.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/transforms/act_norm.h"
#include "core/transforms/autoregressive.h"
#include "core/transforms/elementwise.h"
#include "core/transforms/lu_linear.h"
#include "core/transforms/permutation.h"

namespace millrace {
namespace {

absl::Status CheckRange(absl::string_view field, std::int64_t value, std::int64_t low,
                        std::int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidArgument(field, absl::StrCat(value), absl::StrCat(low, " to ", high));
}

absl::Status ValidateMaf(const FlowSpec& spec, const MafSpec& maf) {
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.maf.layers", maf.layers, 0, MafSpec::kMaxLayers));
  const auto hidden_layers = static_cast<std::int64_t>(maf.hidden_sizes.size());
  if (hidden_layers < 1 || hidden_layers > MafSpec::kMaxHiddenLayers)
    return InvalidArgument("flow.maf.hidden_sizes", absl::StrCat(hidden_layers, " layers"),
                           absl::StrCat("1 to ", MafSpec::kMaxHiddenLayers, " layers"));
  // With a context, some units serve the first column and others the later ones.
  const int smallest = spec.context_dim > 0 && spec.dim > 1 ? 2 : 1;
  for (int size : maf.hidden_sizes) {
    MILLRACE_RETURN_IF_ERROR(
        CheckRange("flow.maf.hidden_sizes", size, smallest, MafSpec::kMaxHiddenSize));
    if (maf.residual && size != maf.hidden_sizes[0])
      return InvalidArgument(
          "flow.maf.hidden_sizes", absl::StrCat(size),
          absl::StrCat(maf.hidden_sizes[0], " like the first: residual networks need equal sizes"));
  }
  if (maf.residual && hidden_layers % 2 == 0)
    return InvalidArgument("flow.maf.hidden_sizes", absl::StrCat(hidden_layers, " layers"),
                           "an odd number for a residual network: one, and two for each block");
  return absl::OkStatus();
}

std::vector<std::unique_ptr<const Transform>> BuildMaf(const FlowSpec& spec, const MafSpec& maf,
                                                       ParameterLayout& layout) {
  std::vector<std::unique_ptr<const Transform>> chain;
  const auto prefix = [&](absl::string_view kind) {
    return absl::StrCat(chain.size(), ".", kind, ".");
  };
  if (maf.whiten) chain.push_back(std::make_unique<LuLinear>(spec.dim, true, prefix("lu"), layout));
  for (int l = 0; l < maf.layers; ++l) {
    if (l > 0 && maf.mixing == Mixing::kReverse)
      chain.push_back(std::make_unique<Permutation>(Permutation::Reverse(spec.dim)));
    if (l > 0 && maf.mixing == Mixing::kRandom)
      chain.push_back(std::make_unique<Permutation>(
          Permutation::Random(spec.dim, spec.seed, static_cast<std::uint32_t>(l))));
    if (l > 0 && maf.mixing == Mixing::kLu) {
      // A learned map beside a random permutation: the map starts as the identity.
      chain.push_back(std::make_unique<Permutation>(
          Permutation::Random(spec.dim, spec.seed, static_cast<std::uint32_t>(l))));
      chain.push_back(std::make_unique<LuLinear>(spec.dim, false, prefix("lu"), layout));
    }
    if (maf.act_norm)
      chain.push_back(std::make_unique<ActNorm>(spec.dim, prefix("act_norm"), layout));
    const MadeSpec made{.dim = spec.dim,
                        .context_dim = spec.context_dim,
                        .hidden_sizes = maf.hidden_sizes,
                        .residual = maf.residual,
                        .activation = maf.activation};
    chain.push_back(
        std::make_unique<Autoregressive>(made, ScalarBijection{}, prefix("made"), layout));
  }
  if (maf.heavy_tails)
    chain.push_back(
        std::make_unique<Elementwise>(ScalarBijection{ScalarBijection::Kind::kLogTails}));
  return chain;
}

}  // namespace

absl::Status Validate(const FlowSpec& spec) {
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.dim", spec.dim, 1, FlowSpec::kMaxDim));
  MILLRACE_RETURN_IF_ERROR(CheckRange("flow.context_dim", spec.context_dim, 0, FlowSpec::kMaxDim));
  if (!spec.maf) return InvalidArgument("flow", "no architecture", "maf");
  return ValidateMaf(spec, *spec.maf);
}

double EstimateParameters(const FlowSpec& spec) {
  const MafSpec& maf = *spec.maf;
  const double dim = spec.dim;
  double made = 0.0;
  double inputs = dim + spec.context_dim;
  for (int size : maf.hidden_sizes) {
    made += (inputs + 1.0) * size;
    inputs = size;
  }
  made += (inputs + 1.0) * 2.0 * dim;
  const double linear = 2.0 * dim * (dim + 1.0);
  double total = maf.layers * (made + (maf.act_norm ? 2.0 * dim : 0.0));
  if (maf.mixing == Mixing::kLu) total += std::max(0, maf.layers - 1) * linear;
  return total + (maf.whiten ? linear : 0.0);
}

std::vector<std::unique_ptr<const Transform>> BuildTransforms(const FlowSpec& spec,
                                                              ParameterLayout& layout) {
  return BuildMaf(spec, *spec.maf, layout);
}

}  // namespace millrace
