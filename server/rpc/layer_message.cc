// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/layer_message.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

using Kind = ScalarBijection::Kind;
constexpr EnumPair<Kind, v1::BijectionKind> kBijections[] = {
    {Kind::kAffine, v1::BIJECTION_KIND_AFFINE},
    {Kind::kAdditive, v1::BIJECTION_KIND_ADDITIVE},
    {Kind::kScale, v1::BIJECTION_KIND_SCALE},
    {Kind::kShiftAndCube, v1::BIJECTION_KIND_SHIFT_AND_CUBE},
    {Kind::kSigmoid, v1::BIJECTION_KIND_SIGMOID},
    {Kind::kTanh, v1::BIJECTION_KIND_TANH},
    {Kind::kSoftsign, v1::BIJECTION_KIND_SOFTSIGN},
    {Kind::kSoftplus, v1::BIJECTION_KIND_SOFTPLUS},
    {Kind::kLogTails, v1::BIJECTION_KIND_LOG_TAILS},
    {Kind::kLinearSpline, v1::BIJECTION_KIND_LINEAR_SPLINE},
    {Kind::kQuadraticSpline, v1::BIJECTION_KIND_QUADRATIC_SPLINE},
    {Kind::kRationalQuadratic, v1::BIJECTION_KIND_RATIONAL_QUADRATIC},
    {Kind::kNormalMixture, v1::BIJECTION_KIND_NORMAL_MIXTURE},
    {Kind::kInverseAffine, v1::BIJECTION_KIND_INVERSE_AFFINE},
    {Kind::kInverseRationalQuadratic, v1::BIJECTION_KIND_INVERSE_RATIONAL_QUADRATIC}};

constexpr EnumPair<LinearLayer::Start, v1::LinearStart> kLinearStarts[] = {
    {LinearLayer::Start::kIdentity, v1::LINEAR_START_IDENTITY},
    {LinearLayer::Start::kIdentity, v1::LINEAR_START_UNSPECIFIED},
    {LinearLayer::Start::kWhiten, v1::LINEAR_START_WHITEN},
    {LinearLayer::Start::kRotation, v1::LINEAR_START_ROTATION}};

absl::StatusOr<ScalarBijection> ReadBijection(const std::string& path,
                                              const v1::Bijection& message) {
  ScalarBijection bijection;
  MILLRACE_ASSIGN_OR_RETURN(bijection.kind,
                            FromProto(kBijections, absl::StrCat(path, ".kind"), message.kind()));
  if (message.bins() != 0) bijection.bins = ToInt(message.bins());
  if (message.bound() != 0.0) bijection.bound = message.bound();
  return bijection;
}

void WriteBijection(const ScalarBijection& bijection, v1::Bijection* message) {
  message->set_kind(ToProto(kBijections, bijection.kind));
  if (!bijection.HasBins()) return;
  message->set_bins(static_cast<std::uint32_t>(bijection.bins));
  if (bijection.HasBound()) message->set_bound(bijection.bound);
}

absl::StatusOr<NetworkShape> ReadNetwork(const std::string& path, const v1::Network& message) {
  NetworkShape network{.residual = message.residual(),
                       .activation = Activation::kTanh,
                       .weight_norm = message.weight_norm()};
  if (network.residual) network.hidden_sizes = {64, 64, 64};
  if (!message.hidden_sizes().empty()) network.hidden_sizes = ToInts(message.hidden_sizes());
  if (message.activation() != v1::ACTIVATION_UNSPECIFIED) {
    MILLRACE_ASSIGN_OR_RETURN(
        network.activation,
        FromProto(kActivations, absl::StrCat(path, ".activation"), message.activation()));
  }
  return network;
}

void WriteNetwork(const NetworkShape& network, v1::Network* message) {
  for (const int size : network.hidden_sizes)
    message->add_hidden_sizes(static_cast<std::uint32_t>(size));
  message->set_residual(network.residual);
  message->set_weight_norm(network.weight_norm);
  message->set_activation(ToProto(kActivations, network.activation));
}

// Of what leaves an image; by default without hidden layers.
template <typename Message>
absl::StatusOr<NetworkShape> ReadPriorNetwork(const std::string& path, const Message& message) {
  if (!message.has_network()) return NetworkShape{.hidden_sizes = {}};
  return ReadNetwork(path, message.network());
}

absl::StatusOr<CouplingLayer> ReadCoupling(const std::string& path,
                                           const v1::CouplingLayer& message) {
  CouplingLayer layer;
  MILLRACE_ASSIGN_OR_RETURN(layer.bijection,
                            ReadBijection(absl::StrCat(path, ".bijection"), message.bijection()));
  MILLRACE_ASSIGN_OR_RETURN(layer.network,
                            ReadNetwork(absl::StrCat(path, ".network"), message.network()));
  if (message.mask() != v1::MASK_UNSPECIFIED) {
    MILLRACE_ASSIGN_OR_RETURN(layer.mask,
                              FromProto(kMasks, absl::StrCat(path, ".mask"), message.mask()));
  }
  layer.flip = message.flip();
  layer.draw = ToInt(message.draw());
  return layer;
}

template <typename Message>
void WritePriorNetwork(const NetworkShape& network, Message* message) {
  if (!network.hidden_sizes.empty()) WriteNetwork(network, message->mutable_network());
}

void WriteVector(const VectorBijection& vector, v1::Layer* message) {
  switch (vector.kind) {
    case VectorBijection::Kind::kPlanar:
      message->mutable_planar();
      break;
    case VectorBijection::Kind::kRadial:
      message->mutable_radial();
      break;
    case VectorBijection::Kind::kSylvester:
      message->mutable_sylvester()->set_width(static_cast<std::uint32_t>(vector.width));
      break;
    case VectorBijection::Kind::kRotation:
      message->mutable_rotation()->set_first(static_cast<std::uint32_t>(vector.first));
      message->mutable_rotation()->set_second(static_cast<std::uint32_t>(vector.second));
      break;
  }
}

}  // namespace

absl::StatusOr<LayerSpec> ReadLayer(const std::string& path, const v1::Layer& message) {
  LayerSpec layer{.inverse = message.inverse()};
  switch (message.transform_case()) {
    case v1::Layer::kAutoregressive: {
      const std::string field = absl::StrCat(path, ".autoregressive");
      const v1::AutoregressiveLayer& from = message.autoregressive();
      AutoregressiveLayer& to = layer.autoregressive.emplace();
      MILLRACE_ASSIGN_OR_RETURN(to.bijection,
                                ReadBijection(absl::StrCat(field, ".bijection"), from.bijection()));
      MILLRACE_ASSIGN_OR_RETURN(to.network,
                                ReadNetwork(absl::StrCat(field, ".network"), from.network()));
      break;
    }
    case v1::Layer::kCoupling: {
      MILLRACE_ASSIGN_OR_RETURN(layer.coupling,
                                ReadCoupling(absl::StrCat(path, ".coupling"), message.coupling()));
      break;
    }
    case v1::Layer::kElementwise: {
      MILLRACE_ASSIGN_OR_RETURN(layer.elementwise, ReadBijection(absl::StrCat(path, ".elementwise"),
                                                                 message.elementwise()));
      break;
    }
    case v1::Layer::kPermutation:
      layer.permutation = {message.permutation().reverse(), ToInt(message.permutation().draw())};
      break;
    case v1::Layer::kLinear: {
      LinearLayer& to = layer.linear.emplace();
      MILLRACE_ASSIGN_OR_RETURN(
          to.start,
          FromProto(kLinearStarts, absl::StrCat(path, ".linear.start"), message.linear().start()));
      break;
    }
    case v1::Layer::kRotation: {
      const v1::RotationLayer& from = message.rotation();
      const bool unset = from.first() == 0 && from.second() == 0;
      layer.vector = {.kind = VectorBijection::Kind::kRotation,
                      .first = ToInt(from.first()),
                      .second = unset ? 1 : ToInt(from.second())};
      break;
    }
    case v1::Layer::kActNorm:
      layer.norm = {.batch = false};
      break;
    case v1::Layer::kBatchNorm:
      layer.norm = {.batch = true};
      break;
    case v1::Layer::kPlanar:
      layer.vector = {VectorBijection::Kind::kPlanar};
      break;
    case v1::Layer::kRadial:
      layer.vector = {VectorBijection::Kind::kRadial};
      break;
    case v1::Layer::kSylvester:
      layer.vector = {VectorBijection::Kind::kSylvester,
                      std::max(1, ToInt(message.sylvester().width()))};
      break;
    case v1::Layer::kResidual: {
      ResidualLayer& to = layer.residual.emplace();
      MILLRACE_ASSIGN_OR_RETURN(to.network, ReadNetwork(absl::StrCat(path, ".residual.network"),
                                                        message.residual().network()));
      break;
    }
    case v1::Layer::kSqueeze: {
      MILLRACE_ASSIGN_OR_RETURN(
          layer.squeeze.emplace().network,
          ReadPriorNetwork(absl::StrCat(path, ".squeeze.network"), message.squeeze()));
      break;
    }
    case v1::Layer::kFactorOut: {
      MILLRACE_ASSIGN_OR_RETURN(
          layer.factor_out.emplace().network,
          ReadPriorNetwork(absl::StrCat(path, ".factor_out.network"), message.factor_out()));
      break;
    }
    case v1::Layer::TRANSFORM_NOT_SET:
      return InvalidArgument(path, "no transform", "exactly one");
  }
  return layer;
}

void WriteLayer(const LayerSpec& layer, v1::Layer* message) {
  message->set_inverse(layer.inverse);
  if (layer.autoregressive) {
    WriteBijection(layer.autoregressive->bijection,
                   message->mutable_autoregressive()->mutable_bijection());
    WriteNetwork(layer.autoregressive->network,
                 message->mutable_autoregressive()->mutable_network());
  } else if (layer.coupling) {
    v1::CouplingLayer* to = message->mutable_coupling();
    WriteBijection(layer.coupling->bijection, to->mutable_bijection());
    WriteNetwork(layer.coupling->network, to->mutable_network());
    to->set_mask(ToProto(kMasks, layer.coupling->mask));
    to->set_flip(layer.coupling->flip);
    to->set_draw(static_cast<std::uint32_t>(layer.coupling->draw));
  } else if (layer.elementwise) {
    WriteBijection(*layer.elementwise, message->mutable_elementwise());
  } else if (layer.permutation) {
    message->mutable_permutation()->set_reverse(layer.permutation->reverse);
    message->mutable_permutation()->set_draw(static_cast<std::uint32_t>(layer.permutation->draw));
  } else if (layer.linear) {
    message->mutable_linear()->set_start(ToProto(kLinearStarts, layer.linear->start));
  } else if (layer.norm) {
    layer.norm->batch ? void(message->mutable_batch_norm()) : void(message->mutable_act_norm());
  } else if (layer.vector) {
    WriteVector(*layer.vector, message);
  } else if (layer.residual) {
    WriteNetwork(layer.residual->network, message->mutable_residual()->mutable_network());
  } else if (layer.squeeze) {
    WritePriorNetwork(layer.squeeze->network, message->mutable_squeeze());
  } else if (layer.factor_out) {
    WritePriorNetwork(layer.factor_out->network, message->mutable_factor_out());
  }
}

}  // namespace millrace
