// SPDX-License-Identifier: Apache-2.0
// The architectures' defaults. What they rest on is measured: core/docs/decisions and
// tests/benchmarks/results.md.
#include "core/train/flow_choice.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/matrix.h"
#include "core/base/status_macros.h"
#include "core/flow/architectures.h"

namespace millrace {
namespace {

constexpr int kFewColumns = 4;
constexpr std::int64_t kFewRows = 500;
constexpr std::int64_t kManyRows = 4000;

// Levels halve the image while it has at least eight pixels a side; later ones are of four pixels.
void ChooseImageSizes(const ImageShape& image, StackSpec& stack) {
  stack.levels = 1;
  for (int side = std::min(image.height, image.width) / 2; side >= 8; side /= 2) ++stack.levels;
  const bool glow = stack.architecture == Architecture::kGlow;
  stack.layers = glow ? 8 : 3;
  stack.residual = !glow;
  stack.act_norm = !glow;
  stack.activation = Activation::kRelu;
  stack.hidden_sizes = glow ? std::vector<int>{64, 64} : std::vector<int>{32, 32, 32};
}

// Few columns need many narrow layers, many columns few wide ones; few rows afford neither.
void ChooseSizes(std::int64_t rows, int dim, StackSpec& stack) {
  const bool spline = TraitsOf(stack.architecture).spline;
  if (dim <= kFewColumns && spline && rows >= kManyRows) {
    stack.layers = 6;
    stack.hidden_sizes.assign(3, 64);
    stack.bins = 16;
  } else if (dim <= kFewColumns) {
    stack.layers = rows < kManyRows ? 6 : 10;
    stack.hidden_sizes.assign(3, 32);
  } else if (rows < kFewRows) {
    stack.layers = 2;
    stack.hidden_sizes.assign(3, 32);
  } else if (rows < kManyRows) {
    stack.layers = rows < 50 * dim ? 2 : 4;
    stack.hidden_sizes.assign(3, 64);
  } else {
    stack.layers = 6;
    stack.hidden_sizes.assign(5, std::clamp(RoundUp(dim / 2, 32), 128, 512));
  }
}

StackSpec DefaultStack(Architecture architecture, std::int64_t rows, int dim) {
  StackSpec stack;
  stack.architecture = architecture;
  const StackTraits traits = TraitsOf(architecture);
  stack.residual = traits.network && architecture != Architecture::kResidual;
  stack.mixing = traits.autoregressive || traits.coupling ? Mixing::kLu : Mixing::kNone;
  // Bounded activations: what the network says of a row far from all it was shown stays bounded
  // too.
  stack.activation = Activation::kTanh;
  ChooseSizes(rows, dim, stack);
  if (traits.one_layer) stack.layers = 1;
  // A coupling moves half the columns.
  if (traits.coupling) stack.layers *= 2;
  if (architecture == Architecture::kResidual) stack.hidden_sizes = {64, 64};
  if (!traits.network) stack.layers = 16;
  if (architecture == Architecture::kSylvester) stack.width = std::min(dim, 16);
  return stack;
}

absl::Status CheckUse(const char* field, bool set, bool used, Architecture architecture) {
  if (!set || used) return absl::OkStatus();
  return InvalidArgument(absl::StrCat("flow.stack.", field), "set",
                         absl::StrCat("unset: ", NameOf(architecture), " has no use for it"));
}

absl::Status CheckUses(const StackChoice& choice, Architecture architecture) {
  const StackTraits traits = TraitsOf(architecture);
  const auto check = [&](const char* field, bool set, bool used) {
    return CheckUse(field, set, used, architecture);
  };
  const bool contractive = architecture == Architecture::kResidual;
  for (const auto& [field, set] : {std::pair{"mixing", choice.mixing.has_value()},
                                   std::pair{"whiten", choice.whiten.has_value()},
                                   std::pair{"heavy_tails", choice.heavy_tails.has_value()}})
    MILLRACE_RETURN_IF_ERROR(check(field, set, !traits.image));
  const bool glow = architecture == Architecture::kGlow;
  MILLRACE_RETURN_IF_ERROR(check("act_norm", choice.act_norm.has_value(), !glow));
  MILLRACE_RETURN_IF_ERROR(check("levels", choice.levels.has_value(), traits.image));
  MILLRACE_RETURN_IF_ERROR(check("additive", choice.additive.has_value(), glow));
  MILLRACE_RETURN_IF_ERROR(check("weight_norm", choice.weight_norm.has_value(), traits.image));
  MILLRACE_RETURN_IF_ERROR(check("hidden_sizes", choice.hidden_sizes.has_value(), traits.network));
  MILLRACE_RETURN_IF_ERROR(
      check("residual", choice.residual.has_value(), traits.network && !contractive));
  MILLRACE_RETURN_IF_ERROR(
      check("activation", choice.activation.has_value(), traits.network && !contractive));
  MILLRACE_RETURN_IF_ERROR(check("mask", choice.mask.has_value(), traits.coupling));
  MILLRACE_RETURN_IF_ERROR(check("bins", choice.bins.has_value(), traits.spline));
  MILLRACE_RETURN_IF_ERROR(check("bound", choice.bound.has_value(), traits.spline));
  MILLRACE_RETURN_IF_ERROR(check("components", choice.components.has_value(), traits.mixture));
  return check("width", choice.width.has_value(), architecture == Architecture::kSylvester);
}

// Sizes of the caller's own are taken for a residual network where they fit one.
void ChooseNetwork(const StackChoice& choice, StackSpec& stack) {
  stack.residual = choice.residual.value_or(stack.residual);
  if (choice.hidden_sizes) {
    stack.hidden_sizes = *choice.hidden_sizes;
    const bool fits = stack.hidden_sizes.size() % 2 == 1 &&
                      std::ranges::count(stack.hidden_sizes, stack.hidden_sizes[0]) ==
                          static_cast<std::ptrdiff_t>(stack.hidden_sizes.size());
    if (!choice.residual) stack.residual = stack.residual && fits && stack.hidden_sizes.size() >= 3;
  } else if (!stack.residual) {
    stack.hidden_sizes.resize(2);
  }
  stack.activation = choice.activation.value_or(stack.activation);
}

absl::StatusOr<StackSpec> ChooseImageStack(const StackChoice& choice, const ImageShape& image) {
  const Architecture architecture = choice.architecture.value_or(Architecture::kGlow);
  MILLRACE_RETURN_IF_ERROR(CheckUses(choice, architecture));
  StackSpec stack{.architecture = architecture};
  ChooseImageSizes(image, stack);
  stack.layers = choice.layers.value_or(stack.layers);
  stack.levels = choice.levels.value_or(stack.levels);
  stack.additive = choice.additive.value_or(stack.additive);
  ChooseNetwork(choice, stack);
  stack.weight_norm = choice.weight_norm.value_or(false);
  stack.act_norm = choice.act_norm.value_or(stack.act_norm && !choice.batch_norm.value_or(false));
  stack.batch_norm = choice.batch_norm.value_or(stack.batch_norm);
  return stack;
}

// Splines say more of every table, of any size, but of few rows they learn by heart which values
// occur, and are then worse than affine layers at telling anomalies.
Architecture DefaultArchitecture(const StackChoice& choice, std::int64_t rows) {
  if (choice.components) return Architecture::kMafMog;
  if (choice.mask) return Architecture::kRealNvp;
  if (choice.width) return Architecture::kSylvester;
  const bool spline = choice.bins || choice.bound || rows >= kManyRows;
  return spline ? Architecture::kNsfAutoregressive : Architecture::kMaf;
}

absl::StatusOr<StackSpec> ChooseStack(const StackChoice& choice, std::int64_t rows, int dim) {
  const Architecture architecture = choice.architecture.value_or(DefaultArchitecture(choice, rows));
  MILLRACE_RETURN_IF_ERROR(CheckUses(choice, architecture));
  StackSpec stack = DefaultStack(architecture, rows, dim);
  if (choice.layers) {
    const int most = TraitsOf(architecture).one_layer ? 1 : StackSpec::kMaxLayers;
    if (*choice.layers < 1 || *choice.layers > most)
      return InvalidArgument("flow.stack.layers", absl::StrCat(*choice.layers),
                             most == 1 ? "1" : absl::StrCat("1 to ", most));
    stack.layers = *choice.layers;
  }
  ChooseNetwork(choice, stack);
  stack.mixing = choice.mixing.value_or(stack.mixing);
  stack.act_norm = choice.act_norm.value_or(stack.act_norm);
  stack.batch_norm = choice.batch_norm.value_or(stack.batch_norm);
  // A chain that is to stay triangular in column order has no linear layers.
  stack.whiten = choice.whiten.value_or(stack.mixing != Mixing::kNone ||
                                        !TraitsOf(architecture).autoregressive);
  stack.heavy_tails = choice.heavy_tails.value_or(true);
  stack.mask = choice.mask.value_or(stack.mask);
  stack.bins = choice.bins.value_or(stack.bins);
  stack.bound = choice.bound.value_or(stack.bound);
  stack.components = choice.components.value_or(stack.components);
  stack.width = choice.width.value_or(stack.width);
  return stack;
}

}  // namespace

absl::StatusOr<FlowSpec> ChooseFlow(const FlowChoice& choice, std::int64_t rows, int dim,
                                    int context_dim, std::uint64_t seed) {
  FlowSpec spec{.dim = dim,
                .context_dim = context_dim,
                .seed = seed,
                .image = choice.image,
                .chain = choice.chain,
                .base = choice.base.value_or(BaseSpec{})};
  if (!choice.chain && choice.image) {
    MILLRACE_ASSIGN_OR_RETURN(spec.stack, ChooseImageStack(choice.stack, *choice.image));
  } else if (!choice.chain) {
    MILLRACE_ASSIGN_OR_RETURN(spec.stack, ChooseStack(choice.stack, rows, dim));
  }
  MILLRACE_RETURN_IF_ERROR(Validate(spec));
  return spec;
}

}  // namespace millrace
