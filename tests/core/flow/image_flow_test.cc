// SPDX-License-Identifier: Apache-2.0
// What is of image flows alone: which specs are refused, how levels leave the image, and training.
// The laws of their transforms and of whole flows are with those of all others.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/flow/architectures.h"
#include "core/flow/flow.h"
#include "core/train/start_parameters.h"
#include "tests/support/engines.h"
#include "tests/support/numeric.h"
#include "tests/support/random_parameters.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

FlowSpec Glow(ImageShape image, int levels, int layers = 2, int context_dim = 0) {
  return {.dim = image.height * image.width * image.channels,
          .context_dim = context_dim,
          .seed = 3,
          .image = image,
          .stack = StackSpec{.architecture = Architecture::kGlow,
                             .layers = layers,
                             .hidden_sizes = {6, 6},
                             .levels = levels}};
}

FlowSpec RealNvp(ImageShape image, int levels) {
  FlowSpec spec = Glow(image, levels);
  spec.stack->architecture = Architecture::kRealNvpImage;
  return spec;
}

FlowSpec Chain(ImageShape image, std::vector<LayerSpec> chain) {
  return {.dim = image.height * image.width * image.channels, .image = image, .chain = chain};
}

LayerSpec Squeeze() {
  LayerSpec layer;
  layer.squeeze.emplace();
  return layer;
}
LayerSpec FactorOut() {
  LayerSpec layer;
  layer.factor_out.emplace();
  return layer;
}
LayerSpec CouplingOf(Mask mask) {
  LayerSpec layer;
  layer.coupling = {.network = {.hidden_sizes = {4}}, .mask = mask};
  return layer;
}
LayerSpec Elementwise(ScalarBijection::Kind kind) {
  LayerSpec layer;
  layer.elementwise = {kind};
  return layer;
}

struct Refused {
  FlowSpec spec;
  std::string field;
};

TEST(ImageFlowTest, SpecsThatContradictThemselvesAreRefused) {
  FlowSpec without_image = Glow({4, 4, 1}, 1);
  without_image.image.reset();
  FlowSpec of_columns = Glow({4, 4, 1}, 1);
  of_columns.stack->architecture = Architecture::kMaf;
  FlowSpec another_product = Glow({4, 4, 1}, 1);
  another_product.dim = 15;
  FlowSpec unconditional = Chain({4, 4, 1}, {CouplingOf(Mask::kCheckerboard)});
  unconditional.context_dim = 2;
  FlowSpec uniform = Glow({4, 4, 1}, 1);
  uniform.base.kind = BaseSpec::Kind::kUniform;
  LayerSpec inverse = CouplingOf(Mask::kCheckerboard);
  inverse.inverse = true;
  LayerSpec autoregressive;
  autoregressive.autoregressive.emplace();
  const std::string chain = "flow.chain.layers[0]";
  for (const Refused& refused : std::vector<Refused>{
           {without_image, "flow.stack.architecture"},
           {of_columns, "flow.stack.architecture"},
           {another_product, "flow.image"},
           {Glow({0, 4, 1}, 1), "flow.dim"},
           {Glow({4, 4, 1}, 0), "flow.stack.levels"},
           {Glow({4, 4, 1}, 7), "flow.stack.levels"},
           {Glow({4, 4, 1}, 3), "flow.stack.levels"},
           {Glow({4, 4, 1}, 1, 0), "flow.stack.layers"},
           {RealNvp({3, 3, 1}, 2), "flow.stack.levels"},
           {Glow({1, 4, 1}, 1), "flow.image"},
           {unconditional, "flow.chain.layers"},
           {uniform, "flow.base"},
           {Chain({4, 4, 1}, {inverse}), chain + ".inverse"},
           {Chain({4, 4, 1}, {autoregressive}), chain},
           {Chain({4, 4, 1}, {FactorOut()}), chain},
           {Chain({1, 4, 1}, {Squeeze()}), chain + ".squeeze"},
           {Chain({4, 4, 1}, {CouplingOf(Mask::kChannels)}), chain},
           {Chain({4, 4, 1}, {CouplingOf(Mask::kNone)}), chain + ".coupling.mask"},
           {Chain({1, 1, 4}, {CouplingOf(Mask::kCheckerboard)}), chain + ".coupling.mask"},
           {Chain({1, 1, 1}, {CouplingOf(Mask::kHalf)}), chain + ".coupling.mask"},
           {Chain({4, 4, 1}, {Elementwise(ScalarBijection::Kind::kSigmoid)}), chain},
       }) {
    const absl::Status status = Flow::Create(refused.spec).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << refused.field;
    EXPECT_EQ(DetailOf(status).field, refused.field) << status;
  }
}

// Of a stack, the fields are the stack's: nobody wrote its layers.
TEST(ImageFlowTest, WhatAStacksLayersCannotBeIsToldOfTheStack) {
  FlowSpec wide = Glow({64, 64, 1}, 1);
  wide.stack->hidden_sizes = {8192, 8192};
  for (const Refused& refused :
       std::vector<Refused>{{RealNvp({1, 1, 4}, 1), "flow.image"},
                            {Glow({2, 2, 129}, 1), "flow.image.channels"},
                            {Glow({8, 8, 60}, 3), "flow.stack.levels"},
                            {Glow({2, 2, 128}, 1, 64), "flow.stack.layers"},
                            {wide, "flow.stack.hidden_sizes"}}) {
    const absl::Status status = Flow::Create(refused.spec).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << refused.field;
    EXPECT_EQ(DetailOf(status).field, refused.field) << status;
  }
  EXPECT_TRUE(Flow::Create(Glow({8, 8, 60}, 2)).ok());
  EXPECT_TRUE(Flow::Create(Glow({2, 2, 128}, 1, 1)).ok());
}

TEST(ImageFlowTest, WhatWouldTakeTooLongOrTooMuchIsRefused) {
  LayerSpec rotation;
  rotation.linear = {LinearLayer::Start::kRotation};
  EXPECT_EQ(
      DetailOf(Flow::Create(Chain({2, 4, 512}, std::vector<LayerSpec>(256, rotation))).status())
          .field,
      "flow.chain.layers");
  LayerSpec wide = CouplingOf(Mask::kCheckerboard);
  wide.coupling->network.hidden_sizes.clear();
  for (int l = 0; l < 8; ++l) {
    wide.coupling->network.hidden_sizes.push_back(8192);
    wide.coupling->network.hidden_sizes.push_back(1);
  }
  EXPECT_EQ(DetailOf(Flow::Create(Chain({64, 64, 1}, {wide})).status()).field,
            "flow.chain.layers[0].coupling.network.hidden_sizes");
}

// The bound on parameters is of the estimate: it must not be far below what is laid out.
TEST(ImageFlowTest, EstimatesAreNotBelowTheLayout) {
  LayerSpec prior = CouplingOf(Mask::kNone);
  prior.coupling->bijection = {ScalarBijection::Kind::kRationalQuadratic, 16};
  FlowSpec conditional = Chain({8, 8, 2}, {prior});
  conditional.context_dim = 3;
  for (const FlowSpec& spec : {Glow({6, 6, 1}, 1), Glow({7, 9, 3}, 2), Glow({8, 8, 1}, 2, 4, 5),
                               RealNvp({8, 8, 1}, 2), conditional}) {
    const auto flow = *Flow::Create(spec);
    const double size = static_cast<double>(flow->layout().size());
    EXPECT_GE(EstimateParameters(spec), 0.95 * size);
    EXPECT_LE(EstimateParameters(spec), 3.0 * size);
  }
}

// Each column's share of the log-density is its own, in chains that stay triangular.
TEST(ImageFlowTest, ChainTermsSumToTheLogDensity) {
  LayerSpec linear;
  linear.linear.emplace();
  std::vector<LayerSpec> chain(3, FactorOut());
  chain.push_back(linear);
  const auto flow = *Flow::Create(Chain({1, 1, 8}, chain));
  const auto backend = CreateCpuBackend({.threads = 1});
  ParameterValues parameters = AsFloats(RandomParameters(*flow, 4));
  for (const auto& entry : flow->layout().entries())
    if (entry.name.find("upper") != std::string::npos)
      std::fill_n(parameters.data() + entry.slice.offset, entry.slice.extent(), 0.0f);
  const auto weights = *backend->Upload(flow, parameters.span());
  std::mt19937_64 random(3);
  Rows<float> x(5, 8);
  for (int r = 0; r < 5; ++r)
    for (int c = 0; c < 8; ++c) x(r, c) = static_cast<float>(RandomNormal(random));
  Rows<double> terms(5, 8);
  std::vector<double> log_prob(5);
  ASSERT_TRUE(backend->ChainTerms(*weights, x.view(), {}, terms.view(), {}).ok());
  ASSERT_TRUE(backend->LogProb(*weights, x.view(), {}, log_prob, {}).ok());
  for (int r = 0; r < 5; ++r) {
    double sum = 0.0;
    for (int c = 0; c < 8; ++c) sum += terms(r, c);
    EXPECT_NEAR(sum, log_prob[r], 1e-4);
  }
}

TEST(ImageFlowTest, LayersOfImagesWantAnImage) {
  for (const LayerSpec& layer : {Squeeze(), FactorOut(), CouplingOf(Mask::kCheckerboard)}) {
    FlowSpec spec = Chain({4, 4, 1}, {layer});
    spec.image.reset();
    EXPECT_EQ(DetailOf(Flow::Create(spec).status()).field, "flow.chain.layers[0]");
  }
}

TEST(ImageFlowTest, TooManyParametersAreFoundBeforeTheyAreLaidOut) {
  FlowSpec spec = Glow({64, 64, 1}, 5, 64);
  spec.stack->hidden_sizes = {1024, 1024};
  EXPECT_EQ(Flow::Create(spec).status().code(), absl::StatusCode::kResourceExhausted);
}

// A squeeze by hand: pixel (y, x) of channel 4 c + 2 dy + dx is (2 y + dy, 2 x + dx), and rows come
// pixel by pixel.
TEST(ImageFlowTest, LatentRowsStandChannelByChannel) {
  constexpr ImageShape kImage{4, 6, 3};
  const auto flow = *Flow::Create(Chain(kImage, {Squeeze()}));
  Point point{InitialParameters(*flow), Rows<double>(1, flow->dim()), Rows<double>(1, 0)};
  for (int c = 0; c < flow->dim(); ++c) point.rows(0, c) = c;
  const Image z = Apply(*PlainEngine().kernels, *flow, Direction::kForward, point);
  int next = 0;
  for (int channel = 0; channel < 12; ++channel)
    for (int y = 0; y < 2; ++y)
      for (int x = 0; x < 3; ++x) {
        const int row = 2 * y + channel % 4 / 2, column = 2 * x + channel % 2;
        EXPECT_EQ(z.rows(0, next++), (row * 6 + column) * 3 + channel / 4);
      }
}

// What left at a level is no longer moved by the levels that follow, but for its own prior.
TEST(ImageFlowTest, WhatLeftIsTheLatentRowsEnd) {
  const auto flow = *Flow::Create(
      Chain({4, 4, 1}, {Squeeze(), FactorOut(), Elementwise(ScalarBijection::Kind::kAffine)}));
  std::vector<double> parameters = InitialParameters(*flow);
  for (const auto& entry : flow->layout().entries())
    if (entry.name.find("elementwise") != std::string::npos)
      for (int i = 0; i < entry.slice.cols; ++i) parameters[entry.slice.offset + i] = 0.5;
  std::mt19937_64 random(4);
  const Point before{InitialParameters(*flow), RandomRows(random, 1, 16), Rows<double>(1, 0)};
  Point after = before;
  after.parameters = parameters;
  const Kernels& plain = *PlainEngine().kernels;
  const Image a = Apply(plain, *flow, Direction::kForward, before);
  const Image b = Apply(plain, *flow, Direction::kForward, after);
  for (int c = 0; c < 16; ++c) EXPECT_EQ(a.rows(0, c) == b.rows(0, c), c >= 8) << c;
}

// ActNorm of a channel starts from all of its pixels; what it leaves has mean 0 and variance 1.
TEST(ImageFlowTest, NormsOfChannelsStartFromAllPixels) {
  constexpr int kImages = 500, kPixels = 12, kChannels = 2;
  LayerSpec norm;
  norm.norm.emplace();
  const auto flow = *Flow::Create(Chain({3, 4, kChannels}, {norm}));
  const auto backend = CreateCpuBackend({.threads = 1});
  std::mt19937_64 random(9);
  Rows<float> x(kImages, flow->dim());
  for (int r = 0; r < kImages; ++r)
    for (int c = 0; c < flow->dim(); ++c)
      x(r, c) = static_cast<float>(RandomNormal(random) * (1 + c % kChannels) + 0.1 * c);
  const auto start = StartParameters(*flow, {x.view(), {}}, 0.0, *backend, {});
  ASSERT_TRUE(start.ok()) << start.status();
  const auto weights = *backend->Upload(flow, start->span());
  Rows<float> z(kImages, flow->dim());
  std::vector<double> log_det(kImages);
  ASSERT_TRUE(backend->Forward(*weights, x.view(), {}, z.view(), log_det, {}).ok());
  for (int channel = 0; channel < kChannels; ++channel) {
    double sum = 0.0, squares = 0.0;
    for (int r = 0; r < kImages; ++r)
      for (int p = 0; p < kPixels; ++p) {
        const double v = z(r, channel * kPixels + p);
        sum += v / (kImages * kPixels);
        squares += v * v / (kImages * kPixels);
      }
    EXPECT_NEAR(sum, 0.0, 1e-4);
    EXPECT_NEAR(squares, 1.0, 1e-3);
  }
}

// Images of one of two patterns with noise: their log-density is known, and some steps bring a
// small Glow most of the way from an independent normal to it.
TEST(ImageFlowTest, TrainingFindsStructure) {
  constexpr int kImages = 512;
  FlowSpec spec = Glow({6, 6, 1}, 1, 4);
  spec.stack->hidden_sizes = {16, 16};
  const auto flow = *Flow::Create(spec);
  const auto backend = CreateCpuBackend({.threads = 2});
  std::mt19937_64 random(5);
  Rows<float> x(kImages, 36);
  for (int r = 0; r < kImages; ++r) {
    const double side = random() % 2 == 0 ? 1.0 : -1.0;
    for (int c = 0; c < 36; ++c)
      x(r, c) = static_cast<float>(side * (c % 6 < 3 ? 1.0 : -1.0) + RandomNormal(random, 0.3));
  }
  TrainState state;
  state.parameters = *StartParameters(*flow, {x.view(), {}}, 0.0, *backend, {});
  const auto session = *backend->StartTraining(flow, state);
  for (int step = 0; step < 300; ++step) {
    ASSERT_TRUE(std::isfinite(session->ComputeGradient(x.view(), {}).loss));
    session->Step({.learning_rate = 3e-3});
  }
  const double loss = session->ComputeGradient(x.view(), {}).loss;
  // ln 2 and 36 normals of deviation 0.3 are 8.4 nats; 36 independent columns of their variance 50.
  const double entropy =
      std::log(2.0) + 36 * (0.5 * std::log(2 * 3.14159265358979 * std::exp(1.0)) + std::log(0.3));
  EXPECT_GT(loss, entropy - 3.0);
  EXPECT_LT(loss, entropy + 8.0);
}

}  // namespace
}  // namespace millrace
