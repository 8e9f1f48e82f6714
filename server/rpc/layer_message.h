// SPDX-License-Identifier: Apache-2.0
// millrace.v1.Layer and what it stands for.
#ifndef MILLRACE_SERVER_RPC_LAYER_MESSAGE_H_
#define MILLRACE_SERVER_RPC_LAYER_MESSAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/flow/layer_spec.h"
#include "millrace/v1/layer.pb.h"
#include "server/rpc/enum_table.h"

namespace millrace {

inline constexpr EnumPair<Activation, v1::Activation> kActivations[] = {
    {Activation::kRelu, v1::ACTIVATION_RELU},
    {Activation::kTanh, v1::ACTIVATION_TANH},
    {Activation::kElu, v1::ACTIVATION_ELU}};

inline constexpr EnumPair<Mask, v1::Mask> kMasks[] = {
    {Mask::kHalf, v1::MASK_HALF},         {Mask::kAlternating, v1::MASK_ALTERNATING},
    {Mask::kRandom, v1::MASK_RANDOM},     {Mask::kCheckerboard, v1::MASK_CHECKERBOARD},
    {Mask::kChannels, v1::MASK_CHANNELS}, {Mask::kNone, v1::MASK_NONE}};

// INVALID_ARGUMENT naming the field, below `path`, for an unknown enum value or a layer without
// transform. What is out of range stays so, and is named by the core's own checks.
absl::StatusOr<LayerSpec> ReadLayer(const std::string& path, const v1::Layer& message);

void WriteLayer(const LayerSpec& layer, v1::Layer* message);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_LAYER_MESSAGE_H_
