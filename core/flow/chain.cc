// SPDX-License-Identifier: Apache-2.0
#include "core/flow/chain.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/math/low_rank.h"
#include "core/transforms/act_norm.h"
#include "core/transforms/autoregressive.h"
#include "core/transforms/batch_norm.h"
#include "core/transforms/coupling.h"
#include "core/transforms/elementwise.h"
#include "core/transforms/inverted.h"
#include "core/transforms/lu_linear.h"
#include "core/transforms/permutation.h"
#include "core/transforms/plu_linear.h"
#include "core/transforms/residual.h"
#include "core/transforms/vector_transform.h"

namespace millrace {
namespace {

absl::Status CheckRange(const std::string& field, std::int64_t value, std::int64_t low,
                        std::int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidArgument(field, absl::StrCat(value), absl::StrCat(low, " to ", high));
}

std::string Text(Interval values) {
  if (values == kAllReals) return "all real numbers";
  return absl::StrCat("numbers between ", values.low, " and ", values.high);
}

absl::Status ValidateBijection(const std::string& path, const ScalarBijection& bijection) {
  using Kind = ScalarBijection::Kind;
  const bool mixture = bijection.kind == Kind::kNormalMixture;
  if (bijection.HasBins())
    MILLRACE_RETURN_IF_ERROR(CheckRange(absl::StrCat(path, ".bins"), bijection.bins,
                                        mixture ? 1 : ScalarBijection::kMinBins,
                                        ScalarBijection::kMaxBins));
  if (bijection.kind == Kind::kRationalQuadratic &&
      !(bijection.bound > 0.0 && bijection.bound <= 1000.0))
    return InvalidArgument(absl::StrCat(path, ".bound"), absl::StrCat(bijection.bound),
                           "a number above 0, at most 1000");
  return absl::OkStatus();
}

// Of layers whose network computes the bijection's parameters.
absl::Status ValidateConditioned(const std::string& path, const ScalarBijection& bijection) {
  MILLRACE_RETURN_IF_ERROR(ValidateBijection(absl::StrCat(path, ".bijection"), bijection));
  if (bijection.parameters() > 0) return absl::OkStatus();
  return InvalidArgument(absl::StrCat(path, ".bijection"), "one without parameters",
                         "one whose parameters a network can compute; others are elementwise");
}

// What a layer takes, and what it gives for it.
struct Values {
  Interval from, to;
};

Values OfBijection(const ScalarBijection& bijection, bool inverse, Interval values) {
  Values all{bijection.domain(), bijection.range()};
  if (inverse) std::swap(all.from, all.to);
  const bool inside = values.low >= all.from.low && values.high <= all.from.high;
  if (bijection.parameters() > 0 || !inside) return all;
  // Of a part of the domain the image is known.
  const auto image = [&](double end, double domain_end, double range_end) {
    return end == domain_end ? range_end : bijection.Image(end, inverse);
  };
  return {values,
          {image(values.low, all.from.low, all.to.low),
           image(values.high, all.from.high, all.to.high)}};
}

Values OfLayer(const LayerSpec& layer, Interval values) {
  if (layer.elementwise) return OfBijection(*layer.elementwise, layer.inverse, values);
  if (layer.autoregressive)
    return OfBijection(layer.autoregressive->bijection, layer.inverse, values);
  if (layer.coupling) return OfBijection(layer.coupling->bijection, layer.inverse, values);
  if (layer.permutation) return {values, values};
  return {kAllReals, kAllReals};
}

absl::Status ValidateVector(const std::string& path, const VectorBijection& vector, int dim) {
  if (vector.kind == VectorBijection::Kind::kSylvester)
    return CheckRange(absl::StrCat(path, ".sylvester.width"), vector.width, 1,
                      std::min(dim, LowRank::kMaxWidth));
  if (vector.kind != VectorBijection::Kind::kRotation) return absl::OkStatus();
  const std::string field = absl::StrCat(path, ".rotation");
  MILLRACE_RETURN_IF_ERROR(CheckRange(absl::StrCat(field, ".first"), vector.first, 0, dim - 1));
  MILLRACE_RETURN_IF_ERROR(CheckRange(absl::StrCat(field, ".second"), vector.second, 0, dim - 1));
  if (vector.first != vector.second) return absl::OkStatus();
  return InvalidArgument(absl::StrCat(field, ".second"), absl::StrCat(vector.second),
                         "another column than the first");
}

absl::Status ValidateLayer(const std::string& path, const LayerSpec& layer, int dim,
                           int context_dim) {
  const int present = layer.autoregressive.has_value() + layer.coupling.has_value() +
                      layer.elementwise.has_value() + layer.permutation.has_value() +
                      layer.linear.has_value() + layer.norm.has_value() + layer.vector.has_value() +
                      layer.residual.has_value();
  if (present != 1)
    return InvalidArgument(path, absl::StrCat(present, " transforms"), "exactly one");
  if (layer.autoregressive) {
    const std::string field = absl::StrCat(path, ".autoregressive");
    // With a context, some units serve the first column and others the later ones.
    MILLRACE_RETURN_IF_ERROR(ValidateNetwork(absl::StrCat(field, ".network"),
                                             layer.autoregressive->network,
                                             context_dim > 0 && dim > 1 ? 2 : 1));
    return ValidateConditioned(field, layer.autoregressive->bijection);
  }
  if (layer.coupling) {
    const std::string field = absl::StrCat(path, ".coupling");
    MILLRACE_RETURN_IF_ERROR(
        ValidateNetwork(absl::StrCat(field, ".network"), layer.coupling->network, 1));
    return ValidateConditioned(field, layer.coupling->bijection);
  }
  if (layer.elementwise)
    return ValidateBijection(absl::StrCat(path, ".elementwise"), *layer.elementwise);
  if (layer.vector) return ValidateVector(path, *layer.vector, dim);
  if (!layer.residual) return absl::OkStatus();
  if (dim > Residual::kMaxDim)
    return InvalidArgument(
        absl::StrCat(path, ".residual"), absl::StrCat(dim, " columns"),
        absl::StrCat("at most ", Residual::kMaxDim, ": the log-determinant served is exact"));
  return ValidateNetwork(absl::StrCat(path, ".residual.network"), layer.residual->network, 1);
}

double NetworkParameters(const NetworkShape& network, double inputs, double outputs) {
  double total = 0.0;
  for (const int size : network.hidden_sizes) {
    total += (inputs + 1.0) * size;
    inputs = size;
  }
  return total + (inputs + 1.0) * outputs;
}

// A layer's parameters under names of its own in the layout.
class Builder {
 public:
  Builder(int dim, int context_dim, std::uint64_t seed, ParameterLayout& layout)
      : dim_(dim), context_dim_(context_dim), seed_(seed), layout_(layout) {}

  std::unique_ptr<const Transform> Build(int index, const LayerSpec& layer) const {
    const auto prefix = [index](const char* kind) { return absl::StrCat(index, ".", kind, "."); };
    if (layer.autoregressive) return BuildAutoregressive(*layer.autoregressive, prefix("made"));
    if (layer.coupling) return BuildCoupling(*layer.coupling, prefix("coupling"));
    if (layer.elementwise)
      return std::make_unique<Elementwise>(dim_, *layer.elementwise, prefix("elementwise"),
                                           layout_);
    if (layer.permutation)
      return std::make_unique<Permutation>(
          layer.permutation->reverse
              ? Permutation::Reverse(dim_)
              : Permutation::Random(dim_, seed_,
                                    static_cast<std::uint32_t>(layer.permutation->draw)));
    // Rotations of a flow differ from each other.
    if (layer.linear)
      return BuildLinear(*layer.linear, seed_ + (std::uint64_t{1} << 32) * index, prefix);
    if (layer.norm) {
      if (layer.norm->batch)
        return std::make_unique<BatchNorm>(dim_, prefix("batch_norm"), layout_);
      return std::make_unique<ActNorm>(dim_, prefix("act_norm"), layout_);
    }
    if (layer.vector)
      return std::make_unique<VectorTransform>(dim_, *layer.vector, prefix("vector"), layout_);
    return std::make_unique<Residual>(dim_, context_dim_, layer.residual->network.hidden_sizes,
                                      prefix("residual"), layout_);
  }

 private:
  std::unique_ptr<const Transform> BuildAutoregressive(const AutoregressiveLayer& layer,
                                                       const std::string& prefix) const {
    const MadeSpec made{.dim = dim_,
                        .context_dim = context_dim_,
                        .hidden_sizes = layer.network.hidden_sizes,
                        .residual = layer.network.residual,
                        .activation = layer.network.activation};
    return std::make_unique<Autoregressive>(made, layer.bijection, prefix, layout_);
  }

  std::unique_ptr<const Transform> BuildCoupling(const CouplingLayer& layer,
                                                 const std::string& prefix) const {
    return std::make_unique<Coupling>(
        MovedColumns(layer.mask, layer.flip, layer.draw, dim_, seed_), layer.bijection,
        Coupling::Conditioner{context_dim_, layer.network.hidden_sizes, layer.network.residual,
                              layer.network.activation},
        prefix, layout_);
  }

  template <typename Prefix>
  std::unique_ptr<const Transform> BuildLinear(const LinearLayer& layer, std::uint64_t seed,
                                               const Prefix& prefix) const {
    if (layer.start == LinearLayer::Start::kRotation)
      return std::make_unique<PluLinear>(dim_, seed, prefix("plu"), layout_);
    return std::make_unique<LuLinear>(dim_, layer.start == LinearLayer::Start::kWhiten,
                                      prefix("lu"), layout_);
  }

  const int dim_, context_dim_;
  const std::uint64_t seed_;
  ParameterLayout& layout_;
};

}  // namespace

absl::Status ValidateNetwork(const std::string& path, const NetworkShape& network, int smallest) {
  const std::string field = absl::StrCat(path, ".hidden_sizes");
  const auto layers = static_cast<std::int64_t>(network.hidden_sizes.size());
  if (layers < 1 || layers > NetworkShape::kMaxHiddenLayers)
    return InvalidArgument(field, absl::StrCat(layers, " layers"),
                           absl::StrCat("1 to ", NetworkShape::kMaxHiddenLayers, " layers"));
  for (const int size : network.hidden_sizes) {
    MILLRACE_RETURN_IF_ERROR(CheckRange(field, size, smallest, NetworkShape::kMaxHiddenSize));
    if (network.residual && size != network.hidden_sizes[0])
      return InvalidArgument(field, absl::StrCat(size),
                             absl::StrCat(network.hidden_sizes[0],
                                          " like the first: residual networks need equal sizes"));
  }
  if (network.residual && layers % 2 == 0)
    return InvalidArgument(field, absl::StrCat(layers, " layers"),
                           "an odd number for a residual network: one, and two for each block");
  return absl::OkStatus();
}

absl::Status ValidateChain(const std::string& path, const std::vector<LayerSpec>& chain, int dim,
                           int context_dim, const BaseSpec& base) {
  Interval values = kAllReals;
  bool conditioned = false;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const LayerSpec& layer = chain[i];
    const std::string field = absl::StrCat(path, "[", i, "]");
    MILLRACE_RETURN_IF_ERROR(ValidateLayer(field, layer, dim, context_dim));
    conditioned |= layer.autoregressive || layer.coupling || layer.residual;
    const Values of = OfLayer(layer, values);
    if (of.from != values)
      return InvalidArgument(field, absl::StrCat("a layer for ", Text(of.from)),
                             absl::StrCat("one for what stands before it: ", Text(values)));
    values = of.to;
  }
  if (context_dim > 0 && !conditioned)
    return InvalidArgument(path, "no layer that a condition reaches",
                           "an autoregressive, coupling or residual layer");
  if (values == Support(base)) return absl::OkStatus();
  return InvalidArgument("flow.base", absl::StrCat("a base on ", Text(Support(base))),
                         absl::StrCat("one on what the chain gives: ", Text(values)));
}

double EstimateParameters(const LayerSpec& layer, int dim, int context_dim) {
  const double n = dim;
  if (layer.autoregressive)
    return NetworkParameters(layer.autoregressive->network, n + context_dim,
                             n * layer.autoregressive->bijection.parameters());
  if (layer.coupling)
    return NetworkParameters(layer.coupling->network, n / 2 + context_dim,
                             n / 2 * layer.coupling->bijection.parameters());
  if (layer.elementwise) return n * layer.elementwise->parameters();
  if (layer.linear) return 2.0 * n * (n + 1.0);
  if (layer.norm) return 4.0 * n;
  if (layer.vector) return layer.vector->parameters(dim);
  if (layer.residual) return NetworkParameters(layer.residual->network, n + context_dim, n);
  return 1.0;
}

std::vector<std::unique_ptr<const Transform>> BuildChain(const std::vector<LayerSpec>& chain,
                                                         int dim, int context_dim,
                                                         std::uint64_t seed,
                                                         ParameterLayout& layout) {
  const Builder builder(dim, context_dim, seed, layout);
  std::vector<std::unique_ptr<const Transform>> transforms;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    std::unique_ptr<const Transform> transform = builder.Build(static_cast<int>(i), chain[i]);
    if (chain[i].inverse) transform = std::make_unique<Inverted>(std::move(transform));
    transforms.push_back(std::move(transform));
  }
  return transforms;
}

}  // namespace millrace
