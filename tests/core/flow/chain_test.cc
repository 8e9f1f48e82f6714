// SPDX-License-Identifier: Apache-2.0
// Which chains are valid: each layer takes what the one before gives, the base what the last gives.
#include "core/flow/chain.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/error_detail.h"

namespace millrace {
namespace {

using Kind = ScalarBijection::Kind;

constexpr BaseSpec kNormal = {};

BaseSpec Uniform(double low, double high) {
  return {.kind = BaseSpec::Kind::kUniform, .low = low, .high = high};
}

LayerSpec Elementwise(Kind kind, bool inverse = false) {
  return {.elementwise = ScalarBijection{kind}, .inverse = inverse};
}

LayerSpec AffineCoupling() { return {.coupling = CouplingLayer{}}; }

LayerSpec ResidualBlock(bool residual, Activation activation) {
  return {.residual = ResidualLayer{{.residual = residual, .activation = activation}}};
}

FlowSpec Spec(std::vector<LayerSpec> chain, const BaseSpec& base) {
  return {.dim = 3, .chain = std::move(chain), .base = base};
}

TEST(ChainTest, LayersThatFitTogetherAreTaken) {
  const std::vector<FlowSpec> specs = {
      Spec({Elementwise(Kind::kSoftplus), Elementwise(Kind::kSoftsign)}, Uniform(0, 1)),
      Spec({Elementwise(Kind::kTanh)}, Uniform(-1, 1)),
      Spec({Elementwise(Kind::kSigmoid), Elementwise(Kind::kLinearSpline),
            Elementwise(Kind::kSigmoid, true), AffineCoupling()},
           kNormal),
      Spec({ResidualBlock(false, Activation::kTanh)}, kNormal),
  };
  for (const FlowSpec& spec : specs) EXPECT_TRUE(Validate(spec).ok()) << Validate(spec);
}

// Nothing interrupts what is cubic in a layer's width.
TEST(ChainTest, WhatIsSetUpIsBounded) {
  const auto status = [](const LayerSpec& layer, int layers, int dim) {
    FlowSpec spec{.dim = dim, .chain = std::vector<LayerSpec>(layers, layer)};
    return Validate(spec);
  };
  const LayerSpec rotation{.linear = LinearLayer{LinearLayer::Start::kRotation}};
  EXPECT_TRUE(status(rotation, 32, 512).ok());
  LayerSpec residual{.residual = ResidualLayer{}};
  residual.residual->network.hidden_sizes = {1024, 1024};
  EXPECT_TRUE(status(residual, 3, 128).ok());
  for (const absl::Status& refused : {status(rotation, 33, 512), status(residual, 4, 128)}) {
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(refused).field, "flow.chain.layers") << refused;
  }
}

TEST(ChainTest, WhatDoesNotFitIsNamedWithWhatWould) {
  struct Case {
    FlowSpec spec;
    std::string field, value, expected;
  };
  const std::string before = "one for what stands before it: ",
                    end = "one on what the chain gives: ";
  const std::vector<Case> cases = {
      {Spec({Elementwise(Kind::kSigmoid)}, kNormal), "flow.base", "a base on all real numbers",
       end + "numbers between 0 and 1"},
      {Spec({Elementwise(Kind::kSoftplus)}, kNormal), "flow.base", "a base on all real numbers",
       end + "numbers above 0"},
      {Spec({Elementwise(Kind::kTanh)}, Uniform(0, 1)), "flow.base",
       "a base on numbers between 0 and 1", end + "numbers between -1 and 1"},
      {Spec({AffineCoupling()}, Uniform(0, 1)), "flow.base", "a base on numbers between 0 and 1",
       end + "all real numbers"},
      {Spec({Elementwise(Kind::kSigmoid), AffineCoupling()}, kNormal), "flow.chain.layers[1]",
       "a layer for all real numbers", before + "numbers between 0 and 1"},
      {Spec({Elementwise(Kind::kLinearSpline)}, kNormal), "flow.chain.layers[0]",
       "a layer for numbers between 0 and 1", before + "all real numbers"},
      {Spec({Elementwise(Kind::kSoftplus, true)}, kNormal), "flow.chain.layers[0]",
       "a layer for numbers above 0", before + "all real numbers"},
      {Spec({ResidualBlock(true, Activation::kTanh)}, kNormal),
       "flow.chain.layers[0].residual.network.residual", "true",
       "false: the layer itself is the residual block"},
      {Spec({ResidualBlock(false, Activation::kRelu)}, kNormal),
       "flow.chain.layers[0].residual.network.activation", "another than tanh",
       "tanh, the one of contractive networks"},
      {Spec({LayerSpec{}}, kNormal), "flow.chain.layers[0]", "0 transforms", "exactly one"},
      {Spec({}, kNormal), "flow.chain.layers", "0", "1 to 256"},
  };
  for (const Case& c : cases) {
    const absl::Status status = Validate(c.spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    const ErrorDetail detail = DetailOf(status);
    EXPECT_EQ(detail.field, c.field);
    EXPECT_EQ(detail.value, c.value) << c.field;
    EXPECT_EQ(detail.expected, c.expected) << c.field;
  }
}

}  // namespace
}  // namespace millrace
