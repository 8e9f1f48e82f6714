// SPDX-License-Identifier: Apache-2.0
#include "core/flow/image_chain.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/conditioners/convolution_network.h"
#include "core/flow/chain.h"
#include "core/transforms/act_norm.h"
#include "core/transforms/batch_norm.h"
#include "core/transforms/coupling.h"
#include "core/transforms/elementwise.h"
#include "core/transforms/first_columns.h"
#include "core/transforms/lu_linear.h"
#include "core/transforms/mask.h"
#include "core/transforms/per_pixel.h"
#include "core/transforms/permutation.h"
#include "core/transforms/plu_linear.h"

namespace millrace {
namespace {

constexpr ScalarBijection kAffine{ScalarBijection::Kind::kAffine};

// What has not left yet, after a layer.
ImageColumns After(const LayerSpec& layer, const ImageColumns& image) {
  if (layer.squeeze) return {{image.grid.height / 2, image.grid.width / 2}, 4 * image.channels};
  if (layer.factor_out) return {image.grid, (image.channels + 1) / 2};
  return image;
}

std::vector<bool> MovedOf(const CouplingLayer& layer, const ImageColumns& image,
                          std::uint64_t seed) {
  switch (layer.mask) {
    case Mask::kCheckerboard:
      return image.Checkerboard(layer.flip);
    case Mask::kChannels:
      return image.HalfOfChannels(layer.flip);
    case Mask::kNone:
      return std::vector<bool>(image.count(), true);
    default:
      return MovedColumns(layer.mask, layer.flip, layer.draw, image.count(), seed);
  }
}

// Of a network of convolutions.
double ConvolutionParameters(const NetworkShape& network, double inputs, double outputs) {
  double total = 0.0;
  const auto add = [&](double size) {
    total += RowFloats(9.0 * inputs) * size + RowFloats(size) * (1 + network.weight_norm);
    inputs = size;
  };
  for (const int size : network.hidden_sizes) add(size);
  add(outputs);
  return total;
}

// Numbers of an image that the layers of a network make, at most: half a gigabyte for a block of 32
// images, and as much for their adjoints.
constexpr double kMostActivations = 1 << 22;

absl::Status ValidateConvolutions(const std::string& path, const NetworkShape& network,
                                  const Grid& grid) {
  if (network.hidden_sizes.empty() && !network.residual && !network.weight_norm)
    return absl::OkStatus();
  const std::string field = absl::StrCat(path, ".network");
  MILLRACE_RETURN_IF_ERROR(ValidateNetwork(field, network, 1, /*convolutions=*/true));
  return ValidateActivations(absl::StrCat(field, ".hidden_sizes"), network.hidden_sizes, grid);
}

// What a layer must be beside valid by itself.
absl::Status ValidateOfImages(const std::string& path, const LayerSpec& layer,
                              const ImageColumns& image, int context_dim) {
  if (layer.autoregressive || layer.vector || layer.residual)
    return InvalidArgument(path, "a layer of columns",
                           "a coupling, norm, linear, permutation, elementwise, squeeze or "
                           "factor_out layer, or a flow without image");
  const auto real = [](const ScalarBijection& b) {
    return b.domain() == kAllReals && b.range() == kAllReals;
  };
  if ((layer.elementwise && !real(*layer.elementwise)) ||
      (layer.coupling && !real(layer.coupling->bijection)))
    return InvalidArgument(path, "a bijection of an interval", "one of all real numbers");
  if (layer.inverse)
    return InvalidArgument(absl::StrCat(path, ".inverse"), "true", "false: not of images");
  const Grid& grid = image.grid;
  if (layer.squeeze) {
    if (grid.height < 2 || grid.width < 2)
      return InvalidArgument(absl::StrCat(path, ".squeeze"),
                             absl::StrCat("an image of ", grid.height, " x ", grid.width),
                             "one of at least 2 x 2: fewer levels");
    return ValidateConvolutions(absl::StrCat(path, ".squeeze"), layer.squeeze->network, grid);
  }
  const bool halves =
      layer.factor_out || (layer.coupling && layer.coupling->mask == Mask::kChannels);
  if (halves && image.channels < 2)
    return InvalidArgument(path, "one channel", "at least two: a squeeze before it");
  if (layer.factor_out)
    return ValidateConvolutions(absl::StrCat(path, ".factor_out"), layer.factor_out->network, grid);
  if (!layer.coupling) return absl::OkStatus();
  const std::string mask = absl::StrCat(path, ".coupling.mask");
  if (layer.coupling->mask == Mask::kNone && context_dim == 0)
    return InvalidArgument(mask, "none", "another mask: there is no condition");
  if (layer.coupling->mask != Mask::kNone && image.count() < 2)
    return InvalidArgument(mask, "one column", "at least two: fewer levels");
  if (layer.coupling->mask == Mask::kCheckerboard && grid.pixels() < 2)
    return InvalidArgument(mask, "a checkerboard of one pixel", "the channels");
  if (layer.coupling->mask == Mask::kNone) return absl::OkStatus();
  return ValidateConvolutions(absl::StrCat(path, ".coupling"), layer.coupling->network, grid);
}

class Builder {
 public:
  Builder(const ImageShape& image, int context_dim, std::uint64_t seed, ParameterLayout& layout)
      : dim_(image.height * image.width * image.channels),
        context_dim_(context_dim),
        seed_(seed),
        layout_(layout),
        image_{{image.height, image.width}, image.channels} {
    if (image.channels > 1) Add(std::make_unique<Permutation>(image_.FromPixels()));
  }

  void Build(int index, const LayerSpec& layer) {
    const auto prefix = [index](const char* kind) { return absl::StrCat(index, ".", kind, "."); };
    if (layer.coupling) {
      AddCoupling(*layer.coupling, prefix("coupling"));
    } else if (layer.squeeze) {
      AddSqueeze(*layer.squeeze, prefix("edge"));
    } else if (layer.factor_out) {
      AddConvolutional(image_.HalfOfChannels(false), kAffine, layer.factor_out->network,
                       prefix("factor_out"));
    } else {
      // Rotations of a flow differ from each other.
      Add(std::make_unique<PerPixel>(
          image_.grid.pixels(),
          OfChannels(layer, seed_ + (std::uint64_t{1} << 32) * index, prefix)));
    }
    image_ = After(layer, image_);
  }

  std::vector<std::unique_ptr<const Transform>> Take() { return std::move(transforms_); }

 private:
  void Add(std::unique_ptr<const Transform> transform) {
    if (image_.count() < dim_)
      transform = std::make_unique<FirstColumns>(image_.count(), std::move(transform));
    transforms_.push_back(std::move(transform));
  }

  void AddConvolutional(const std::vector<bool>& moved, ScalarBijection bijection,
                        const NetworkShape& network, const std::string& prefix) {
    const ConvolutionNetworkSpec spec{.grid = image_.grid,
                                      .moved = moved,
                                      .parameters = bijection.parameters(),
                                      .hidden_sizes = network.hidden_sizes,
                                      .residual = network.residual,
                                      .weight_norm = network.weight_norm,
                                      .activation = network.activation};
    Add(std::make_unique<Coupling>(moved, bijection,
                                   std::make_unique<ConvolutionNetwork>(spec, prefix, layout_)));
  }

  void AddCoupling(const CouplingLayer& layer, const std::string& prefix) {
    const std::vector<bool> moved = MovedOf(layer, image_, seed_);
    if (layer.mask != Mask::kNone)
      return AddConvolutional(moved, layer.bijection, layer.network, prefix);
    Add(std::make_unique<Coupling>(moved, layer.bijection,
                                   NetworkSpec{.context_dim = context_dim_,
                                               .hidden_sizes = layer.network.hidden_sizes,
                                               .residual = layer.network.residual,
                                               .activation = layer.network.activation},
                                   prefix, layout_));
  }

  void AddSqueeze(const SqueezeLayer& layer, const std::string& prefix) {
    const Grid grid = image_.grid;
    if (grid.height % 2 == 1 || grid.width % 2 == 1) {
      AddConvolutional(image_.OddEdge(), kAffine, layer.network, prefix);
      Add(std::make_unique<Permutation>(image_.EdgeLast()));
      image_.grid = {grid.height / 2 * 2, grid.width / 2 * 2};
    }
    Add(std::make_unique<Permutation>(image_.Squeezed()));
  }

  template <typename Prefix>
  std::unique_ptr<const Transform> OfChannels(const LayerSpec& layer, std::uint64_t seed,
                                              const Prefix& prefix) const {
    const int channels = image_.channels;
    if (layer.elementwise)
      return std::make_unique<Elementwise>(channels, *layer.elementwise, prefix("elementwise"),
                                           layout_);
    if (layer.norm && layer.norm->batch)
      return std::make_unique<BatchNorm>(channels, prefix("batch_norm"), layout_,
                                         image_.grid.pixels());
    if (layer.norm) return std::make_unique<ActNorm>(channels, prefix("act_norm"), layout_);
    if (layer.permutation)
      return std::make_unique<Permutation>(
          layer.permutation->reverse
              ? Permutation::Reverse(channels)
              : Permutation::Random(channels, seed_,
                                    static_cast<std::uint32_t>(layer.permutation->draw)));
    if (layer.linear->start == LinearLayer::Start::kRotation)
      return std::make_unique<PluLinear>(channels, seed, prefix("plu"), layout_);
    return std::make_unique<LuLinear>(channels, layer.linear->start == LinearLayer::Start::kWhiten,
                                      prefix("lu"), layout_);
  }

  const int dim_, context_dim_;
  const std::uint64_t seed_;
  ParameterLayout& layout_;
  ImageColumns image_;
  std::vector<std::unique_ptr<const Transform>> transforms_;
};

}  // namespace

absl::Status ValidateActivations(const std::string& field, const std::vector<int>& hidden_sizes,
                                 const Grid& grid) {
  double activations = 0.0;
  for (const int size : hidden_sizes) activations += static_cast<double>(size) * grid.framed();
  if (activations <= kMostActivations) return absl::OkStatus();
  return InvalidArgument(field,
                         absl::StrCat(activations, " numbers for an image of ", grid.height, " x ",
                                      grid.width, " pixels"),
                         absl::StrCat("at most ", kMostActivations, ": fewer channels"));
}

absl::Status ValidateImageChain(const std::string& path, const std::vector<LayerSpec>& chain,
                                const ImageShape& shape, int context_dim, const BaseSpec& base) {
  if (Support(base) != kAllReals)
    return InvalidArgument("flow.base", "a base on an interval", "one on all real numbers");
  ImageColumns image{{shape.height, shape.width}, shape.channels};
  bool conditioned = false;
  double set_up = 0.0;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const LayerSpec& layer = chain[i];
    const std::string field = absl::StrCat(path, "[", i, "]");
    MILLRACE_RETURN_IF_ERROR(
        ValidateLayer(field, layer, image.channels, context_dim, /*of_images=*/true));
    MILLRACE_RETURN_IF_ERROR(ValidateOfImages(field, layer, image, context_dim));
    conditioned |= layer.coupling && layer.coupling->mask == Mask::kNone;
    set_up += SetUpSteps(layer, image.channels);
    image = After(layer, image);
  }
  MILLRACE_RETURN_IF_ERROR(ValidateSetUp(path, set_up));
  if (context_dim == 0 || conditioned) return absl::OkStatus();
  return InvalidArgument(path, "no layer that a condition reaches",
                         "a coupling whose mask is none: a prior that depends on the condition");
}

double EstimateImageParameters(const std::vector<LayerSpec>& chain, const ImageShape& shape,
                               int context_dim) {
  ImageColumns image{{shape.height, shape.width}, shape.channels};
  double total = 0.0;
  for (const LayerSpec& layer : chain) {
    const double channels = image.channels;
    if (layer.squeeze)
      total += ConvolutionParameters(layer.squeeze->network, channels, 2.0 * channels);
    else if (layer.factor_out)
      total += ConvolutionParameters(layer.factor_out->network, channels, 2.0 * channels);
    else if (layer.coupling && layer.coupling->mask != Mask::kNone)
      total += ConvolutionParameters(layer.coupling->network, channels,
                                     channels * layer.coupling->bijection.parameters());
    else if (layer.coupling)
      total += NetworkParameters(
          layer.coupling->network, 0.0, context_dim,
          static_cast<double>(image.count()) * layer.coupling->bijection.parameters());
    else
      total += EstimateParameters(layer, image.channels, context_dim);
    image = After(layer, image);
  }
  return total;
}

std::vector<std::unique_ptr<const Transform>> BuildImageChain(const std::vector<LayerSpec>& chain,
                                                              const ImageShape& image,
                                                              int context_dim, std::uint64_t seed,
                                                              ParameterLayout& layout) {
  Builder builder(image, context_dim, seed, layout);
  for (std::size_t i = 0; i < chain.size(); ++i) builder.Build(static_cast<int>(i), chain[i]);
  return builder.Take();
}

}  // namespace millrace
