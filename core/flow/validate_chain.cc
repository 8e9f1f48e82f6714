// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/flow/chain.h"
#include "core/math/low_rank.h"
#include "core/transforms/plu_linear.h"
#include "core/transforms/residual.h"

namespace millrace {
namespace {

constexpr int kMaxDraw = 1000;
constexpr double kMostSetUpSteps = 4294967296.0;  // some seconds

std::string Text(Interval values) {
  if (values == kAllReals) return "all real numbers";
  if (values.high == kAllReals.high) return absl::StrCat("numbers above ", values.low);
  if (values.low == kAllReals.low) return absl::StrCat("numbers below ", values.high);
  return absl::StrCat("numbers between ", values.low, " and ", values.high);
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

absl::Status ValidateResidual(const std::string& path, const NetworkShape& network, int dim) {
  if (dim > Residual::kMaxDim)
    return InvalidArgument(
        path, absl::StrCat(dim, " columns"),
        absl::StrCat("at most ", Residual::kMaxDim, ": the log-determinant served is exact"));
  const std::string field = absl::StrCat(path, ".network");
  if (network.residual)
    return InvalidArgument(absl::StrCat(field, ".residual"), "true",
                           "false: the layer itself is the residual block");
  if (network.activation != Activation::kTanh)
    return InvalidArgument(absl::StrCat(field, ".activation"), "another than tanh",
                           "tanh, the one of contractive networks");
  MILLRACE_RETURN_IF_ERROR(ValidateNetwork(field, network, 1));
  for (const int size : network.hidden_sizes)
    MILLRACE_RETURN_IF_ERROR(
        CheckRange(absl::StrCat(field, ".hidden_sizes"), size, 1, ResidualLayer::kMaxHiddenSize));
  return absl::OkStatus();
}

absl::Status ValidateLinear(const std::string& path, LinearLayer::Start start, int dim) {
  if (start != LinearLayer::Start::kRotation || dim <= LinearLayer::kMaxRotationDim)
    return absl::OkStatus();
  return InvalidArgument(
      absl::StrCat(path, ".start"), absl::StrCat("a rotation of ", dim, " columns"),
      absl::StrCat("a rotation of at most ", LinearLayer::kMaxRotationDim,
                   " columns, which takes dim^3 steps to draw, or another start"));
}

// Moments are those of what reaches a layer's forward pass.
absl::Status ValidateInverse(const std::string& path, const LayerSpec& layer) {
  const bool whitens = layer.linear && layer.linear->start == LinearLayer::Start::kWhiten;
  if (!layer.inverse || (!layer.norm && !whitens)) return absl::OkStatus();
  return InvalidArgument(absl::StrCat(path, ".inverse"), "true",
                         "false: the layer starts from the rows that reach it, one way round only");
}

}  // namespace

absl::Status CheckRange(const std::string& field, std::int64_t value, std::int64_t low,
                        std::int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidArgument(field, absl::StrCat(value), absl::StrCat(low, " to ", high));
}

double SetUpSteps(const LayerSpec& layer, int dim) {
  const double n = dim;
  if (layer.linear && layer.linear->start == LinearLayer::Start::kRotation) return n * n * n;
  if (!layer.residual) return 0.0;
  double steps = 0.0, inputs = n;
  const auto add = [&](double outputs) {
    const double least = std::min(inputs, outputs);
    steps += least * least * std::max(inputs, outputs);
    inputs = outputs;
  };
  for (const int size : layer.residual->network.hidden_sizes) add(size);
  add(n);
  return steps;
}

absl::Status ValidateSetUp(const std::string& path, double steps) {
  if (steps <= kMostSetUpSteps) return absl::OkStatus();
  return InvalidArgument(
      path, absl::StrCat("rotations and residual layers that take ", steps, " steps to set up"),
      absl::StrCat("at most ", kMostSetUpSteps, ": fewer or narrower ones"));
}

absl::Status ValidateBijection(const std::string& path, const ScalarBijection& bijection) {
  using Kind = ScalarBijection::Kind;
  if (bijection.kind == Kind::kStandardise)
    return InvalidArgument(path, "standardise", "a bijection that a layer of its own can have");
  const bool mixture = bijection.kind == Kind::kNormalMixture;
  if (bijection.HasBins())
    MILLRACE_RETURN_IF_ERROR(CheckRange(absl::StrCat(path, ".bins"), bijection.bins,
                                        mixture ? 1 : ScalarBijection::kMinBins,
                                        ScalarBijection::kMaxBins));
  if (bijection.HasBound() && !(bijection.bound > 0.0 && bijection.bound <= 1000.0))
    return InvalidArgument(absl::StrCat(path, ".bound"), absl::StrCat(bijection.bound),
                           "a number above 0, at most 1000");
  return absl::OkStatus();
}

absl::Status ValidateLayer(const std::string& path, const LayerSpec& layer, int dim,
                           int context_dim, bool of_images) {
  const int present = layer.autoregressive.has_value() + layer.coupling.has_value() +
                      layer.elementwise.has_value() + layer.permutation.has_value() +
                      layer.linear.has_value() + layer.norm.has_value() + layer.vector.has_value() +
                      layer.residual.has_value() + layer.squeeze.has_value() +
                      layer.factor_out.has_value();
  if (present != 1)
    return InvalidArgument(path, absl::StrCat(present, " transforms"), "exactly one");
  MILLRACE_RETURN_IF_ERROR(ValidateInverse(path, layer));
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
    MILLRACE_RETURN_IF_ERROR(ValidateNetwork(absl::StrCat(field, ".network"),
                                             layer.coupling->network, 1,
                                             of_images && layer.coupling->mask != Mask::kNone));
    MILLRACE_RETURN_IF_ERROR(
        CheckRange(absl::StrCat(field, ".draw"), layer.coupling->draw, 0, kMaxDraw));
    return ValidateConditioned(field, layer.coupling->bijection);
  }
  if (layer.permutation)
    return CheckRange(absl::StrCat(path, ".permutation.draw"), layer.permutation->draw, 0,
                      kMaxDraw);
  if (layer.linear) return ValidateLinear(absl::StrCat(path, ".linear"), layer.linear->start, dim);
  if (layer.elementwise)
    return ValidateBijection(absl::StrCat(path, ".elementwise"), *layer.elementwise);
  if (layer.vector) return ValidateVector(path, *layer.vector, dim);
  if (!layer.residual) return absl::OkStatus();
  return ValidateResidual(absl::StrCat(path, ".residual"), layer.residual->network, dim);
}

absl::Status ValidateNetwork(const std::string& path, const NetworkShape& network, int smallest,
                             bool convolutions) {
  if (network.weight_norm && !(convolutions && network.residual))
    return InvalidArgument(absl::StrCat(path, ".weight_norm"), "true",
                           "false: weight normalisation is of residual networks of convolutions");
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

namespace {

absl::Status ValidateNotOfImages(const std::string& path, const LayerSpec& layer) {
  const bool of_images = layer.squeeze || layer.factor_out ||
                         (layer.coupling && layer.coupling->mask >= Mask::kCheckerboard);
  if (!of_images) return absl::OkStatus();
  return InvalidArgument(path, "a layer of images", "flow.image, or a layer of columns");
}

}  // namespace

absl::Status ValidateChain(const std::string& path, const std::vector<LayerSpec>& chain, int dim,
                           int context_dim, const BaseSpec& base) {
  Interval values = kAllReals;
  bool conditioned = false;
  double set_up = 0.0;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const LayerSpec& layer = chain[i];
    const std::string field = absl::StrCat(path, "[", i, "]");
    MILLRACE_RETURN_IF_ERROR(ValidateLayer(field, layer, dim, context_dim));
    MILLRACE_RETURN_IF_ERROR(ValidateNotOfImages(field, layer));
    set_up += SetUpSteps(layer, dim);
    conditioned |= layer.autoregressive || layer.coupling || layer.residual;
    const Values of = OfLayer(layer, values);
    if (of.from != values)
      return InvalidArgument(field, absl::StrCat("a layer for ", Text(of.from)),
                             absl::StrCat("one for what stands before it: ", Text(values)));
    values = of.to;
  }
  MILLRACE_RETURN_IF_ERROR(ValidateSetUp(path, set_up));
  if (context_dim > 0 && !conditioned)
    return InvalidArgument(path, "no layer that a condition reaches",
                           "an autoregressive, coupling or residual layer");
  if (values == Support(base)) return absl::OkStatus();
  return InvalidArgument("flow.base", absl::StrCat("a base on ", Text(Support(base))),
                         absl::StrCat("one on what the chain gives: ", Text(values)));
}

}  // namespace millrace
