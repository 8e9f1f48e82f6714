// SPDX-License-Identifier: Apache-2.0
// Normalised weights, from the layout to training and to what is served. That their gradients are
// right is among the laws of flows, and what they compute among the golden values.
#include "core/exec/weight_norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/flow/flow.h"
#include "tests/support/engines.h"
#include "tests/support/numeric.h"
#include "tests/support/random_parameters.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

constexpr ImageShape kImage{4, 4, 2};
constexpr int kDim = 32;
constexpr int kRows = 70;

FlowSpec Spec(bool weight_norm) {
  return {.dim = kDim,
          .seed = 3,
          .image = kImage,
          .stack = StackSpec{.architecture = Architecture::kRealNvpImage,
                             .layers = 1,
                             .hidden_sizes = {6, 6, 6, 6, 6},
                             .residual = true,
                             .act_norm = true,
                             .levels = 1,
                             .weight_norm = weight_norm}};
}

class WeightNormTest : public testing::Test {
 protected:
  WeightNormTest() {
    std::mt19937_64 random(2);
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kDim; ++c) x_(r, c) = static_cast<float>(RandomNormal(random));
  }

  TrainState RandomState() const {
    TrainState state;
    state.parameters = AsFloats(RandomParameters(*flow_, 5));
    return state;
  }
  std::vector<double> Served(std::span<const float> parameters) const {
    std::vector<double> log_prob(kRows);
    const auto weights = *backend_->Upload(flow_, parameters);
    EXPECT_TRUE(backend_->LogProb(*weights, x_.view(), {}, log_prob, {}).ok());
    return log_prob;
  }

  const std::shared_ptr<const Flow> flow_ = *Flow::Create(Spec(true));
  const std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 2});
  Rows<float> x_{kRows, kDim};
};

TEST_F(WeightNormTest, RowsHaveTheNormsOfTheirGains) {
  ParameterLayout layout;
  const Slice plain = layout.Add("plain", 2, 3, true);
  const auto [direction, gain] = layout.AddNormalised("v", "g", 3, 5);
  std::vector<double> values(layout.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.3 + static_cast<double>(i % 7);
  for (int k = 0; k < 5; ++k) values[direction.place(2, k)] = 0.0;
  values[gain.place(0, 0)] = -2.5;
  std::vector<double> weights = values;
  NormaliseWeights<double>(layout, weights);
  for (int r = 0; r < 3; ++r) {
    const std::span<const double> v(values.data() + direction.place(r, 0), 5);
    const double scale = r < 2 ? values[gain.place(0, r)] / NormOf(v) : 0.0;
    for (int k = 0; k < 5; ++k) EXPECT_DOUBLE_EQ(weights[direction.place(r, k)], scale * v[k]);
  }
  for (int r = 0; r < 2; ++r)
    for (int k = 0; k < 3; ++k) EXPECT_EQ(weights[plain.place(r, k)], values[plain.place(r, k)]);
}

// The same random numbers, whatever they are the parameters of.
TEST_F(WeightNormTest, StartsWithTheWeightsOfAPlainNetwork) {
  const auto plain = *Flow::Create(Spec(false));
  const ParameterValues expected = plain->InitialParameters();
  const ParameterValues actual =
      NormalisedWeights(flow_->layout(), flow_->InitialParameters().span());
  int weights = 0;
  for (const auto& entry : flow_->layout().entries()) {
    if (!entry.gain) continue;
    ++weights;
    const auto same =
        std::ranges::find(plain->layout().entries(), entry.name, &ParameterLayout::Entry::name);
    ASSERT_NE(same, plain->layout().entries().end()) << entry.name;
    for (int r = 0; r < entry.slice.rows; ++r)
      for (int k = 0; k < entry.slice.cols; ++k)
        ASSERT_NEAR(actual[entry.slice.place(r, k)], expected[same->slice.place(r, k)], 1e-7)
            << entry.name;
  }
  EXPECT_EQ(weights, 2 * 6);
}

TEST_F(WeightNormTest, TrainingFollowsTheGradientOfDirectionsAndGains) {
  const TrainState state = RandomState();
  const auto session = *backend_->StartTraining(flow_, state);
  const auto got = session->ComputeGradient(x_.view(), {});
  Point point{{state.parameters.data(), state.parameters.data() + state.parameters.size()},
              Rows<double>(kRows, kDim),
              Rows<double>(kRows, 0)};
  std::copy_n(x_.data(), kRows * kDim, point.rows.data());
  const std::vector<double> exact = LogProbAdjoint(*PlainEngine().kernels, *flow_, point,
                                                   std::vector<double>(kRows, -1.0 / kRows))
                                        .parameters;
  const std::vector<double> actual(session->gradient().begin(), session->gradient().end());
  EXPECT_LE(MaxAbsDifference(actual, exact), 1e-4 * MaxAbs(exact));
  double square = 0.0;
  for (const double g : exact) square += g * g;
  EXPECT_NEAR(got.gradient_norm, std::sqrt(square), 1e-4 * std::sqrt(square));
  // Along a direction itself nothing changes.
  for (const auto& entry : flow_->layout().entries()) {
    if (!entry.gain) continue;
    for (int r = 0; r < entry.slice.rows; ++r) {
      double along = 0.0;
      for (int k = 0; k < entry.slice.cols; ++k)
        along += actual[entry.slice.place(r, k)] * state.parameters[entry.slice.place(r, k)];
      EXPECT_NEAR(along, 0.0, 1e-5 * MaxAbs(exact)) << entry.name << " " << r;
    }
  }
}

// After every step, and of moving averages too, passes read what a server would.
TEST_F(WeightNormTest, ASessionScoresAsItsParametersAreServed) {
  const auto session = *backend_->StartTraining(flow_, RandomState());
  std::vector<double> log_prob(kRows);
  for (int step = 0; step < 3; ++step) {
    session->ComputeGradient(x_.view(), {});
    session->Step({.learning_rate = 1e-2, .ema_decay = 0.9});
    const TrainState state = session->Save();
    ASSERT_TRUE(session->LogProb(x_.view(), {}, /*use_ema=*/false, log_prob, {}).ok());
    EXPECT_EQ(log_prob, Served(state.parameters.span()));
    ASSERT_TRUE(session->LogProb(x_.view(), {}, /*use_ema=*/true, log_prob, {}).ok());
    EXPECT_EQ(log_prob, Served(state.ema.span()));
  }
  const TrainState state = RandomState();
  session->Restore(state);
  ASSERT_TRUE(session->LogProb(x_.view(), {}, /*use_ema=*/false, log_prob, {}).ok());
  EXPECT_EQ(log_prob, Served(state.parameters.span()));
}

TEST_F(WeightNormTest, StartingRowsGoThroughWhatIsServed) {
  const ParameterValues parameters = RandomState().parameters;
  Rows<float> advanced = x_;
  ASSERT_TRUE(backend_
                  ->Advance(*flow_, parameters.span(), 0,
                            static_cast<int>(flow_->transforms().size()), {}, advanced.view(), {})
                  .ok());
  const auto weights = *backend_->Upload(flow_, parameters.span());
  Rows<float> z(kRows, kDim);
  std::vector<double> log_det(kRows);
  ASSERT_TRUE(backend_->Forward(*weights, x_.view(), {}, z.view(), log_det, {}).ok());
  for (int i = 0; i < kRows * kDim; ++i) ASSERT_EQ(advanced.data()[i], z.data()[i]) << i;
}

// A direction's length has no effect.
TEST_F(WeightNormTest, GainsDecayAndDirectionsDoNot) {
  const TrainState before = RandomState();
  const auto session = *backend_->StartTraining(flow_, before);
  session->ComputeGradient(x_.view(), {});
  // A step of Adam is no longer than the rate, decay or not.
  session->Step({.learning_rate = 1e-6, .weight_decay = 1e5});
  const TrainState after = session->Save();
  for (const auto& entry : flow_->layout().entries()) {
    EXPECT_FALSE(entry.gain && entry.decays) << entry.name;
    EXPECT_TRUE(entry.decays || !entry.name.ends_with(".gain")) << entry.name;
    const float kept = entry.decays ? 0.9f : 1.0f;
    for (int r = 0; r < entry.slice.rows; ++r)
      for (int k = 0; k < entry.slice.cols; ++k) {
        const std::size_t i = entry.slice.place(r, k);
        ASSERT_NEAR(after.parameters[i], kept * before.parameters[i], 1e-5) << entry.name;
      }
  }
}

TEST_F(WeightNormTest, OfResidualNetworksOfConvolutionsOnly) {
  FlowSpec plain = Spec(true);
  plain.stack->residual = false;
  const auto chain_of = [](LayerSpec layer, bool image) {
    FlowSpec spec{.dim = kDim, .context_dim = 2, .chain = {{std::move(layer)}}};
    if (image) spec.image = kImage;
    return spec;
  };
  const NetworkShape network{{4, 4, 4}, true, Activation::kRelu, /*weight_norm=*/true};
  NetworkShape none{.hidden_sizes = {}, .weight_norm = true};
  const LayerSpec coupling{.coupling = CouplingLayer{.network = network}};
  const LayerSpec prior{.coupling = CouplingLayer{.network = network, .mask = Mask::kNone}};
  const LayerSpec made{.autoregressive = AutoregressiveLayer{.network = network}};
  const std::string layer = "flow.chain.layers[0].";
  for (const auto& [spec, field] :
       {std::pair{plain, std::string("flow.stack.weight_norm")},
        {chain_of(coupling, false), layer + "coupling.network.weight_norm"},
        {chain_of(prior, true), layer + "coupling.network.weight_norm"},
        {chain_of(made, false), layer + "autoregressive.network.weight_norm"},
        {chain_of({.factor_out = FactorOutLayer{none}}, true),
         layer + "factor_out.network.weight_norm"}}) {
    const absl::Status status = Flow::Create(spec).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field << ": " << status;
    EXPECT_EQ(DetailOf(status).field, field) << status;
    EXPECT_EQ(DetailOf(status).value, "true") << status;
  }
}

}  // namespace
}  // namespace millrace
