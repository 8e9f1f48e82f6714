// SPDX-License-Identifier: Apache-2.0
// Flows on the wire: nothing is lost on the way to the core and back.
#include "server/rpc/flow_message.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error_detail.h"
#include "core/flow/architectures.h"
#include "core/io/flow_json.h"
#include "core/train/flow_choice.h"

namespace millrace {
namespace {

using Kind = ScalarBijection::Kind;

// Every number of an enum but that of `..._UNSPECIFIED`, with its word: MASK_HALF is "half".
std::vector<std::pair<int, std::string>> Values(const google::protobuf::EnumDescriptor* values,
                                                const std::string& prefix) {
  std::vector<std::pair<int, std::string>> all;
  for (int i = 1; i < values->value_count(); ++i) {
    std::string word = values->value(i)->name().substr(prefix.size());
    for (char& c : word) c = static_cast<char>(std::tolower(c));
    all.emplace_back(values->value(i)->number(), word);
  }
  return all;
}

v1::FlowSpec Written(const FlowSpec& spec) {
  v1::FlowSpec message;
  WriteFlow(spec, &message);
  return message;
}

FlowSpec Chosen(const FlowChoice& choice, std::int64_t rows) {
  const int dim = choice.image ? 16 : 5;
  const auto spec = ChooseFlow(choice, rows, dim, /*context_dim=*/0, /*seed=*/1);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.value_or(FlowSpec());
}

FlowChoice Read(const v1::FlowSpec& message) {
  const auto choice = ReadFlow(message);
  EXPECT_TRUE(choice.ok()) << choice.status();
  return choice.value_or(FlowChoice());
}

// A stack with no part as the trainer would choose it.
FlowChoice OfStack(Architecture architecture) {
  const StackTraits traits = TraitsOf(architecture);
  const bool contractive = architecture == Architecture::kResidual;
  FlowChoice choice;
  StackChoice& stack = choice.stack;
  stack.architecture = architecture;
  stack.layers = traits.one_layer ? 1 : 3;
  stack.batch_norm = true;
  if (architecture != Architecture::kGlow) stack.act_norm = true;
  if (traits.image) {
    choice.image = {4, 4, 1};
    stack.levels = 2;
    if (architecture == Architecture::kGlow) stack.additive = true;
    stack.weight_norm = architecture == Architecture::kGlow;
  } else {
    stack.mixing = Mixing::kRandom;
    stack.whiten = stack.heavy_tails = false;
  }
  if (traits.network) stack.hidden_sizes = std::vector<int>{9, 7};
  if (traits.image) stack.hidden_sizes = std::vector<int>{5, 5, 5};
  if (traits.network && !contractive) stack.residual = traits.image;
  if (traits.network && !contractive) stack.activation = Activation::kElu;
  if (traits.coupling) stack.mask = Mask::kRandom;
  if (traits.spline) stack.bins = 5;
  if (traits.spline) stack.bound = 2.5;
  if (traits.mixture) stack.components = 6;
  if (architecture == Architecture::kSylvester) stack.width = 3;
  return choice;
}

TEST(FlowMessage, EveryArchitectureIsReadAsItWasWritten) {
  EXPECT_EQ(std::ssize(AllArchitectures()), v1::Architecture_descriptor()->value_count() - 1);
  for (const auto& [number, word] : Values(v1::Architecture_descriptor(), "ARCHITECTURE_")) {
    v1::FlowSpec named;
    named.mutable_stack()->set_architecture(static_cast<v1::Architecture>(number));
    const auto architecture = Read(named).stack.architecture;
    ASSERT_TRUE(architecture) << word;
    std::string name = NameOf(*architecture);
    std::ranges::replace(name, '-', '_');
    EXPECT_EQ(name, word);

    const FlowSpec spec = Chosen(OfStack(*architecture), 100);
    const v1::FlowSpec message = Written(spec);
    EXPECT_EQ(message.stack().architecture(), number);
    // What is read decides every layer, however many rows there are.
    EXPECT_EQ(ChainOf(Chosen(Read(message), 100'000)), ChainOf(spec)) << word;
  }
}

TEST(FlowMessage, EveryBaseIsReadAsItWasWritten) {
  for (const auto& [number, word] : Values(v1::BaseKind_descriptor(), "BASE_KIND_")) {
    v1::FlowSpec named;
    named.mutable_base()->set_kind(static_cast<v1::BaseKind>(number));
    named.mutable_base()->set_components(3);
    named.mutable_base()->set_low(-2.0);
    named.mutable_base()->set_high(7.5);
    const FlowSpec spec{.dim = 1, .base = *Read(named).base};
    EXPECT_NE(FlowToJson(spec).find("\"" + word + "\""), std::string::npos) << FlowToJson(spec);
    const v1::BaseSpec message = Written(spec).base();
    EXPECT_EQ(message.kind(), number);
    EXPECT_EQ(message.components(), spec.base.kind == BaseSpec::Kind::kNormalMixture ? 3u : 0u);
    EXPECT_EQ(message.low(), spec.base.kind == BaseSpec::Kind::kUniform ? -2.0 : 0.0);
    EXPECT_EQ(message.high(), spec.base.kind == BaseSpec::Kind::kUniform ? 7.5 : 0.0);
  }
  EXPECT_EQ(Read({}).base, std::nullopt);
}

// A chain with this one layer, read.
LayerSpec ReadAlone(const std::function<void(v1::Layer&)>& set) {
  v1::FlowSpec message;
  set(*message.mutable_chain()->add_layers());
  const FlowChoice choice = Read(message);
  return choice.chain && choice.chain->size() == 1 ? choice.chain->front() : LayerSpec();
}

TEST(FlowMessage, EveryWordIsTheCoresOwn) {
  const auto expect = [](const std::string& word, const std::function<void(v1::Layer&)>& set) {
    const FlowSpec spec{.dim = 1, .chain = {{ReadAlone(set)}}};
    const std::string json = FlowToJson(spec);
    EXPECT_NE(json.find("\"" + word + "\""), std::string::npos) << word << " in " << json;
  };
  for (const auto& [number, word] : Values(v1::BijectionKind_descriptor(), "BIJECTION_KIND_"))
    expect(word, [number = number](v1::Layer& layer) {
      layer.mutable_elementwise()->set_kind(static_cast<v1::BijectionKind>(number));
    });
  for (const auto& [number, word] : Values(v1::LinearStart_descriptor(), "LINEAR_START_"))
    expect(word, [number = number](v1::Layer& layer) {
      layer.mutable_linear()->set_start(static_cast<v1::LinearStart>(number));
    });
  const auto coupling = [](v1::Layer& layer) {
    layer.mutable_coupling()->mutable_bijection()->set_kind(v1::BIJECTION_KIND_AFFINE);
    return layer.mutable_coupling();
  };
  for (const auto& [number, word] : Values(v1::Mask_descriptor(), "MASK_"))
    expect(word, [&coupling, number = number](v1::Layer& layer) {
      coupling(layer)->set_mask(static_cast<v1::Mask>(number));
    });
  for (const auto& [number, word] : Values(v1::Activation_descriptor(), "ACTIVATION_"))
    expect(word, [&coupling, number = number](v1::Layer& layer) {
      coupling(layer)->mutable_network()->set_activation(static_cast<v1::Activation>(number));
    });
}

TEST(FlowMessage, EveryLayerIsReadAsItWasWritten) {
  std::vector<LayerSpec> chain;
  for (const auto& [number, word] : Values(v1::BijectionKind_descriptor(), "BIJECTION_KIND_")) {
    const LayerSpec layer = ReadAlone([number = number](v1::Layer& message) {
      message.mutable_elementwise()->set_kind(static_cast<v1::BijectionKind>(number));
      message.mutable_elementwise()->set_bins(5);
    });
    chain.push_back({.elementwise = ScalarBijection{layer.elementwise->kind}});
    if (layer.elementwise->HasBins()) chain.back().elementwise->bins = 5;
  }
  const NetworkShape network{{6, 6, 6}, true, Activation::kElu, /*weight_norm=*/true};
  const ScalarBijection spline{Kind::kRationalQuadratic, 4, 2.5};
  chain.push_back({.autoregressive = AutoregressiveLayer{spline, network}});
  for (const Mask mask : {Mask::kHalf, Mask::kAlternating, Mask::kRandom, Mask::kCheckerboard,
                          Mask::kChannels, Mask::kNone})
    chain.push_back({.coupling = CouplingLayer{spline, network, mask, /*flip=*/true, /*draw=*/7}});
  chain.push_back({.permutation = PermutationLayer{.reverse = true}});
  chain.push_back({.permutation = PermutationLayer{.draw = 9}});
  for (const auto start :
       {LinearLayer::Start::kIdentity, LinearLayer::Start::kWhiten, LinearLayer::Start::kRotation})
    chain.push_back({.linear = LinearLayer{start}});
  for (const bool batch : {false, true}) chain.push_back({.norm = NormLayer{batch}});
  chain.push_back({.vector = VectorBijection{.kind = VectorBijection::Kind::kPlanar}});
  chain.push_back({.vector = VectorBijection{.kind = VectorBijection::Kind::kRadial}});
  chain.push_back(
      {.vector = VectorBijection{.kind = VectorBijection::Kind::kSylvester, .width = 4}});
  chain.push_back({.vector = VectorBijection{
                       .kind = VectorBijection::Kind::kRotation, .first = 2, .second = 1}});
  chain.push_back(
      {.residual = ResidualLayer{{.hidden_sizes = {8}, .activation = Activation::kTanh}}});
  chain.push_back({.squeeze = SqueezeLayer{}});
  chain.push_back({.squeeze = SqueezeLayer{network}});
  chain.push_back({.factor_out = FactorOutLayer{}});
  chain.push_back({.factor_out = FactorOutLayer{network}});
  for (std::size_t i = 0, n = chain.size(); i < n; ++i) {
    chain.push_back(chain[i]);
    chain.back().inverse = true;
  }
  const v1::FlowSpec message = Written({.dim = 3, .chain = chain});
  const FlowChoice choice = Read(message);
  ASSERT_TRUE(choice.chain);
  ASSERT_EQ(choice.chain->size(), chain.size());
  for (std::size_t i = 0; i < chain.size(); ++i)
    EXPECT_EQ((*choice.chain)[i], chain[i])
        << message.chain().layers(static_cast<int>(i)).DebugString();
}

TEST(FlowMessage, UnsetSizesOfLayersAreTheDocumentedOnes) {
  const LayerSpec plain = ReadAlone([](v1::Layer& layer) {
    layer.mutable_autoregressive()->mutable_bijection()->set_kind(v1::BIJECTION_KIND_AFFINE);
  });
  EXPECT_EQ(plain.autoregressive->network, (NetworkShape{{100, 100}, false, Activation::kTanh}));
  const LayerSpec residual = ReadAlone([](v1::Layer& layer) {
    layer.mutable_coupling()->mutable_bijection()->set_kind(v1::BIJECTION_KIND_RATIONAL_QUADRATIC);
    layer.mutable_coupling()->mutable_network()->set_residual(true);
  });
  EXPECT_EQ(residual.coupling->network, (NetworkShape{{64, 64, 64}, true, Activation::kTanh}));
  EXPECT_EQ(residual.coupling->mask, Mask::kAlternating);
  EXPECT_EQ(residual.coupling->bijection, (ScalarBijection{Kind::kRationalQuadratic, 8, 5.0}));
  const LayerSpec rotation = ReadAlone([](v1::Layer& layer) { layer.mutable_rotation(); });
  EXPECT_EQ(rotation.vector->first, 0);
  EXPECT_EQ(rotation.vector->second, 1);
  EXPECT_EQ(ReadAlone([](v1::Layer& l) { l.mutable_sylvester(); }).vector->width, 1);
}

TEST(FlowMessage, WhatIsUnknownNamesItsField) {
  struct Case {
    std::string field;
    std::function<void(v1::FlowSpec&)> set;
  };
  const auto second = [](v1::FlowSpec& flow) {
    flow.mutable_chain()->add_layers()->mutable_planar();
    return flow.mutable_chain()->add_layers();
  };
  const std::vector<Case> cases = {
      {"flow.stack.architecture",
       [](auto& f) { f.mutable_stack()->set_architecture(static_cast<v1::Architecture>(99)); }},
      {"flow.stack.mixing",
       [](auto& f) { f.mutable_stack()->set_mixing(static_cast<v1::Mixing>(99)); }},
      {"flow.stack.activation",
       [](auto& f) { f.mutable_stack()->set_activation(static_cast<v1::Activation>(99)); }},
      {"flow.stack.mask", [](auto& f) { f.mutable_stack()->set_mask(static_cast<v1::Mask>(99)); }},
      {"flow.base.kind",
       [](auto& f) { f.mutable_base()->set_kind(static_cast<v1::BaseKind>(99)); }},
      {"flow.chain.layers",
       [](auto& f) {
         for (int i = 0; i <= FlowSpec::kMaxChain; ++i) f.mutable_chain()->add_layers();
       }},
      {"flow.chain.layers[1]", [&](auto& f) { second(f); }},
      {"flow.chain.layers[1].elementwise.kind", [&](auto& f) { second(f)->mutable_elementwise(); }},
      {"flow.chain.layers[1].autoregressive.bijection.kind",
       [&](auto& f) { second(f)->mutable_autoregressive(); }},
      {"flow.chain.layers[1].coupling.bijection.kind",
       [&](auto& f) { second(f)->mutable_coupling(); }},
      {"flow.chain.layers[1].coupling.mask",
       [&](auto& f) {
         v1::CouplingLayer* layer = second(f)->mutable_coupling();
         layer->mutable_bijection()->set_kind(v1::BIJECTION_KIND_AFFINE);
         layer->set_mask(static_cast<v1::Mask>(99));
       }},
      {"flow.chain.layers[1].linear.start",
       [&](auto& f) { second(f)->mutable_linear()->set_start(static_cast<v1::LinearStart>(99)); }},
      {"flow.chain.layers[1].residual.network.activation",
       [&](auto& f) {
         second(f)->mutable_residual()->mutable_network()->set_activation(
             static_cast<v1::Activation>(99));
       }},
  };
  for (const Case& c : cases) {
    v1::FlowSpec message;
    c.set(message);
    const absl::Status status = ReadFlow(message).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.field << ": " << status;
    EXPECT_EQ(DetailOf(status).field, c.field) << status;
    EXPECT_NE(DetailOf(status).expected, "") << status;
  }
}

}  // namespace
}  // namespace millrace
