// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/flow_message.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/flow/architectures.h"
#include "server/rpc/enum_table.h"
#include "server/rpc/layer_message.h"

namespace millrace {
namespace {

constexpr EnumPair<Architecture, v1::Architecture> kArchitectures[] = {
    {Architecture::kMade, v1::ARCHITECTURE_MADE},
    {Architecture::kMaf, v1::ARCHITECTURE_MAF},
    {Architecture::kIaf, v1::ARCHITECTURE_IAF},
    {Architecture::kMadeMog, v1::ARCHITECTURE_MADE_MOG},
    {Architecture::kMafMog, v1::ARCHITECTURE_MAF_MOG},
    {Architecture::kNsfAutoregressive, v1::ARCHITECTURE_NSF_AR},
    {Architecture::kNice, v1::ARCHITECTURE_NICE},
    {Architecture::kRealNvp, v1::ARCHITECTURE_REALNVP},
    {Architecture::kNsfCoupling, v1::ARCHITECTURE_NSF_C},
    {Architecture::kPlanar, v1::ARCHITECTURE_PLANAR},
    {Architecture::kRadial, v1::ARCHITECTURE_RADIAL},
    {Architecture::kSylvester, v1::ARCHITECTURE_SYLVESTER},
    {Architecture::kResidual, v1::ARCHITECTURE_RESIDUAL},
    {Architecture::kRealNvpImage, v1::ARCHITECTURE_REALNVP_IMAGE},
    {Architecture::kGlow, v1::ARCHITECTURE_GLOW}};

constexpr EnumPair<Mixing, v1::Mixing> kMixings[] = {{Mixing::kNone, v1::MIXING_NONE},
                                                     {Mixing::kReverse, v1::MIXING_REVERSE},
                                                     {Mixing::kRandom, v1::MIXING_RANDOM},
                                                     {Mixing::kLu, v1::MIXING_LU}};

constexpr EnumPair<BaseSpec::Kind, v1::BaseKind> kBases[] = {
    {BaseSpec::Kind::kStandardNormal, v1::BASE_KIND_STANDARD_NORMAL},
    {BaseSpec::Kind::kStandardNormal, v1::BASE_KIND_UNSPECIFIED},
    {BaseSpec::Kind::kDiagonalNormal, v1::BASE_KIND_DIAGONAL_NORMAL},
    {BaseSpec::Kind::kUniform, v1::BASE_KIND_UNIFORM},
    {BaseSpec::Kind::kLogistic, v1::BASE_KIND_LOGISTIC},
    {BaseSpec::Kind::kStudentT, v1::BASE_KIND_STUDENT_T},
    {BaseSpec::Kind::kNormalMixture, v1::BASE_KIND_NORMAL_MIXTURE}};

// An unset enum leaves the choice open.
template <typename Core, typename Proto, std::size_t n>
absl::Status Choose(const EnumPair<Core, Proto> (&table)[n], const std::string& field, Proto value,
                    std::optional<Core>& choice) {
  if (value == Proto{}) return absl::OkStatus();
  MILLRACE_ASSIGN_OR_RETURN(choice, FromProto(table, field, value));
  return absl::OkStatus();
}

absl::StatusOr<StackChoice> ReadStack(const v1::StackSpec& stack) {
  StackChoice choice;
  const auto number = [](std::uint32_t value, std::optional<int>& to) {
    if (value != 0) to = ToInt(value);
  };
  MILLRACE_RETURN_IF_ERROR(
      Choose(kArchitectures, "flow.stack.architecture", stack.architecture(), choice.architecture));
  MILLRACE_RETURN_IF_ERROR(Choose(kMixings, "flow.stack.mixing", stack.mixing(), choice.mixing));
  MILLRACE_RETURN_IF_ERROR(
      Choose(kActivations, "flow.stack.activation", stack.activation(), choice.activation));
  MILLRACE_RETURN_IF_ERROR(Choose(kMasks, "flow.stack.mask", stack.mask(), choice.mask));
  number(stack.layers(), choice.layers);
  number(stack.bins(), choice.bins);
  number(stack.components(), choice.components);
  number(stack.width(), choice.width);
  number(stack.levels(), choice.levels);
  if (stack.bound() != 0.0) choice.bound = stack.bound();
  if (!stack.hidden_sizes().empty()) choice.hidden_sizes = ToInts(stack.hidden_sizes());
  if (stack.has_residual()) choice.residual = stack.residual();
  if (stack.has_act_norm()) choice.act_norm = stack.act_norm();
  if (stack.has_batch_norm()) choice.batch_norm = stack.batch_norm();
  if (stack.has_whiten()) choice.whiten = stack.whiten();
  if (stack.has_heavy_tails()) choice.heavy_tails = stack.heavy_tails();
  if (stack.has_additive()) choice.additive = stack.additive();
  if (stack.has_weight_norm()) choice.weight_norm = stack.weight_norm();
  return choice;
}

void WriteStack(const StackSpec& stack, v1::StackSpec* message) {
  const StackTraits traits = TraitsOf(stack.architecture);
  message->set_architecture(ToProto(kArchitectures, stack.architecture));
  message->set_layers(static_cast<std::uint32_t>(stack.layers));
  const bool glow = stack.architecture == Architecture::kGlow;
  if (!glow) message->set_act_norm(stack.act_norm);
  message->set_batch_norm(stack.batch_norm);
  if (traits.image) {
    message->set_levels(static_cast<std::uint32_t>(stack.levels));
    if (glow) message->set_additive(stack.additive);
    message->set_weight_norm(stack.weight_norm);
  } else {
    message->set_mixing(ToProto(kMixings, stack.mixing));
    message->set_whiten(stack.whiten);
    message->set_heavy_tails(stack.heavy_tails);
  }
  if (traits.network) {
    for (const int size : stack.hidden_sizes)
      message->add_hidden_sizes(static_cast<std::uint32_t>(size));
  }
  if (traits.network && stack.architecture != Architecture::kResidual) {
    message->set_residual(stack.residual);
    message->set_activation(ToProto(kActivations, stack.activation));
  }
  if (traits.coupling) message->set_mask(ToProto(kMasks, stack.mask));
  if (traits.spline) {
    message->set_bins(static_cast<std::uint32_t>(stack.bins));
    message->set_bound(stack.bound);
  }
  if (traits.mixture) message->set_components(static_cast<std::uint32_t>(stack.components));
  if (stack.architecture == Architecture::kSylvester)
    message->set_width(static_cast<std::uint32_t>(stack.width));
}

absl::StatusOr<BaseSpec> ReadBase(const v1::BaseSpec& message) {
  BaseSpec base;
  MILLRACE_ASSIGN_OR_RETURN(base.kind, FromProto(kBases, "flow.base.kind", message.kind()));
  if (message.components() != 0) base.components = ToInt(message.components());
  if (message.low() != 0.0 || message.high() != 0.0) {
    base.low = message.low();
    base.high = message.high();
  }
  return base;
}

void WriteBase(const BaseSpec& base, v1::BaseSpec* message) {
  message->set_kind(ToProto(kBases, base.kind));
  if (base.kind == BaseSpec::Kind::kNormalMixture)
    message->set_components(static_cast<std::uint32_t>(base.components));
  if (base.kind != BaseSpec::Kind::kUniform) return;
  message->set_low(base.low);
  message->set_high(base.high);
}

}  // namespace

absl::StatusOr<FlowChoice> ReadFlow(const v1::FlowSpec& flow) {
  FlowChoice choice;
  if (flow.has_image())
    choice.image = {ToInt(flow.image().height()), ToInt(flow.image().width()),
                    ToInt(flow.image().channels())};
  if (flow.has_base()) {
    MILLRACE_ASSIGN_OR_RETURN(choice.base, ReadBase(flow.base()));
  }
  if (!flow.has_chain()) {
    MILLRACE_ASSIGN_OR_RETURN(choice.stack, ReadStack(flow.stack()));
    return choice;
  }
  // Before they are read: a layer of a few bytes becomes one of a few hundred.
  if (flow.chain().layers_size() > FlowSpec::kMaxChain)
    return InvalidArgument("flow.chain.layers", absl::StrCat(flow.chain().layers_size(), " layers"),
                           absl::StrCat("at most ", FlowSpec::kMaxChain));
  std::vector<LayerSpec>& chain = choice.chain.emplace();
  for (int i = 0; i < flow.chain().layers_size(); ++i) {
    MILLRACE_ASSIGN_OR_RETURN(
        chain.emplace_back(),
        ReadLayer(absl::StrCat("flow.chain.layers[", i, "]"), flow.chain().layers(i)));
  }
  return choice;
}

void WriteFlow(const FlowSpec& spec, v1::FlowSpec* message) {
  WriteBase(spec.base, message->mutable_base());
  if (spec.image) {
    message->mutable_image()->set_height(static_cast<std::uint32_t>(spec.image->height));
    message->mutable_image()->set_width(static_cast<std::uint32_t>(spec.image->width));
    message->mutable_image()->set_channels(static_cast<std::uint32_t>(spec.image->channels));
  }
  if (spec.stack) WriteStack(*spec.stack, message->mutable_stack());
  if (!spec.chain) return;
  for (const LayerSpec& layer : *spec.chain)
    WriteLayer(layer, message->mutable_chain()->add_layers());
}

}  // namespace millrace
