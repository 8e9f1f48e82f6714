// SPDX-License-Identifier: Apache-2.0
// Residual flows in training: what steps do to the weights must leave them invertible.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/transforms/residual.h"
#include "tests/core/flow/backend_fixture.h"

namespace millrace {
namespace {

class ResidualFlowTest : public BackendTest {
 protected:
  ResidualFlowTest() {
    LayerSpec residual, inverted;
    residual.residual =
        ResidualLayer{.network = {.hidden_sizes = {24, 16}, .activation = Activation::kTanh}};
    inverted = residual;
    inverted.inverse = true;
    flow_ = *Flow::Create(
        {.dim = 5, .context_dim = kContext, .seed = 5, .chain = {{residual, inverted}}});
    parameters_ = flow_->InitialParameters();
    std::mt19937_64 random(6);
    x_ = Floats(RandomRows(random, kRows, flow_->dim(), 3.0));
  }

  double LargestBound(const ParameterValues& parameters) const {
    double largest = 0.0;
    for (const auto& transform : flow_->transforms())
      largest = std::max(largest, transform->LipschitzBound(parameters.span()));
    return largest;
  }

  // With a learning rate that would take any layer's norm far above 1.
  TrainState Trained(Backend& backend, int steps) {
    const auto session = *backend.StartTraining(flow_, FreshState());
    for (int step = 0; step < steps; ++step) {
      session->ComputeGradient(x_.view(), context_.view());
      session->Step({.learning_rate = 0.02, .ema_decay = 0.9});
    }
    return session->Save();
  }
};

TEST_F(ResidualFlowTest, StaysAContractionThroughTraining) {
  const auto backend = NewBackend(1);
  const TrainState state = Trained(*backend, 150);
  // It is at the edge, and not beyond: of three layers each bound is at most 1% too large.
  EXPECT_GT(LargestBound(state.parameters), 0.9);
  EXPECT_LT(LargestBound(state.parameters), 0.99);
  EXPECT_LT(LargestBound(state.ema), 0.99);
}

TEST_F(ResidualFlowTest, BoundTellsWhenWeightsDoNotContract) {
  const auto residual = Flow::Create(
      {.dim = 3,
       .chain = {
           {LayerSpec{.residual = ResidualLayer{
                          .network = {.hidden_sizes = {8}, .activation = Activation::kTanh}}}}}});
  ParameterValues parameters = (*residual)->InitialParameters();
  EXPECT_LT((*residual)->transforms()[0]->LipschitzBound(parameters.span()), 0.99);
  for (float& v : parameters.span()) v = v == 0.0f ? 0.5f : 4.0f * v;
  EXPECT_GT((*residual)->transforms()[0]->LipschitzBound(parameters.span()), 1.0);
}

TEST_F(ResidualFlowTest, ConstrainsByItsBoundAfterTraining) {
  ParameterValues inside = parameters_;
  for (const auto& transform : flow_->transforms()) transform->ConstrainByBound(inside.span());
  ExpectSameBits<float>(inside.span(), parameters_.span());
  for (float& v : parameters_.span()) v = v == 0.0f ? 0.5f : 4.0f * v;
  ASSERT_GT(LargestBound(parameters_), 1.0);
  for (const auto& transform : flow_->transforms()) {
    transform->ConstrainByBound(parameters_.span());
    EXPECT_NEAR(transform->LipschitzBound(parameters_.span()), Residual::kContraction, 1e-4);
  }
}

TEST_F(ResidualFlowTest, TrainingImprovesAndRowsComeBack) {
  const auto backend = NewBackend(1);
  const double before = [&] {
    double sum = 0.0;
    for (const double v : LogProbOf(*backend, 0, kRows)) sum += v / kRows;
    return sum;
  }();
  parameters_ = Trained(*backend, 150).parameters;
  double after = 0.0;
  for (const double v : LogProbOf(*backend, 0, kRows)) after += v / kRows;
  EXPECT_GT(after, before + 1.0);
  const auto weights = Upload(*backend);
  Output z{Rows<float>(kRows, 5), std::vector<double>(kRows)};
  Output x = z;
  ASSERT_TRUE(
      backend->Forward(*weights, x_.view(), context_.view(), z.rows.view(), z.values, {}).ok());
  ASSERT_TRUE(
      backend->Inverse(*weights, z.rows.view(), context_.view(), x.rows.view(), x.values, {}).ok());
  for (int r = 0; r < kRows; ++r) {
    EXPECT_NEAR(x.values[r], -z.values[r], 1e-4);
    for (int c = 0; c < 5; ++c) EXPECT_NEAR(x.rows(r, c), x_(r, c), 1e-4);
  }
}

TEST_F(ResidualFlowTest, GoesOnFromASavedStateToTheBit) {
  const auto backend = NewBackend(3);
  const AdamStep step{.learning_rate = 0.02, .ema_decay = 0.9};
  const auto train = [&](bool interrupted) {
    auto session = *backend->StartTraining(flow_, FreshState());
    for (int i = 0; i < 6; ++i) {
      if (interrupted) session = *backend->StartTraining(flow_, session->Save());
      session->ComputeGradient(x_.view(), context_.view());
      session->Step(step);
    }
    return session->Save();
  };
  const TrainState one = train(false), other = train(true);
  ExpectSameBits<float>(other.parameters.span(), one.parameters.span());
  ExpectSameBits<float>(other.ema.span(), one.ema.span());
}

// The log-determinant served is exact: where that would take too long, the spec is refused.
TEST_F(ResidualFlowTest, TooManyColumnsAreRefused) {
  FlowSpec spec{.dim = Residual::kMaxDim + 1, .chain = {{LayerSpec{.residual = ResidualLayer{}}}}};
  EXPECT_EQ(Flow::Create(spec).status().code(), absl::StatusCode::kInvalidArgument);
  spec.dim = Residual::kMaxDim;
  EXPECT_TRUE(Flow::Create(spec).ok());
}

}  // namespace
}  // namespace millrace
