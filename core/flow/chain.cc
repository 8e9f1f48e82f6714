// SPDX-License-Identifier: Apache-2.0
#include "core/flow/chain.h"

#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
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
    return std::make_unique<Coupling>(MovedColumns(layer.mask, layer.flip, layer.draw, dim_, seed_),
                                      layer.bijection,
                                      NetworkSpec{.context_dim = context_dim_,
                                                  .hidden_sizes = layer.network.hidden_sizes,
                                                  .residual = layer.network.residual,
                                                  .activation = layer.network.activation},
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

double RowFloats(double cols) {
  const double padded = std::ceil(cols / kRowAlign) * kRowAlign;
  return std::fmod(padded, 256.0) == 0.0 && cols > 0.0 ? padded + kRowAlign : padded;
}

double NetworkParameters(const NetworkShape& network, double inputs, double context_dim,
                         double outputs) {
  double total = RowFloats(context_dim) * network.hidden_sizes[0];
  for (const int size : network.hidden_sizes) {
    total += RowFloats(inputs) * size + RowFloats(size);
    inputs = size;
  }
  return total + RowFloats(inputs) * outputs + RowFloats(outputs);
}

double EstimateParameters(const LayerSpec& layer, int dim, int context_dim) {
  const double n = dim;
  if (layer.autoregressive)
    return NetworkParameters(layer.autoregressive->network, n, context_dim,
                             n * layer.autoregressive->bijection.parameters());
  if (layer.coupling)
    return NetworkParameters(layer.coupling->network, n / 2, context_dim,
                             n / 2 * layer.coupling->bijection.parameters());
  if (layer.elementwise) return RowFloats(n * layer.elementwise->parameters());
  if (layer.linear) return 2.0 * (n + 1.0) * RowFloats(n);
  if (layer.norm) return 4.0 * RowFloats(n);
  if (layer.vector) return RowFloats(layer.vector->parameters(dim));
  if (layer.residual) return NetworkParameters(layer.residual->network, n, context_dim, n);
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
