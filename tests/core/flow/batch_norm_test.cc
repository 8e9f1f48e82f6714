// SPDX-License-Identifier: Apache-2.0
// Batch-norm in a flow: what training does with its running statistics, and the faults that
// batch-norm layers of flows are known for.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/core/flow/backend_fixture.h"
#include "tests/support/engines.h"

namespace millrace {
namespace {

class BatchNormTest : public BackendTest {
 protected:
  BatchNormTest() {
    LayerSpec norm, autoregressive, reverse;
    norm.norm = NormLayer{.batch = true};
    autoregressive.autoregressive = AutoregressiveLayer{.network = {.hidden_sizes = {12}}};
    reverse.permutation = PermutationLayer{.reverse = true};
    flow_ = *Flow::Create({.dim = 7,
                           .context_dim = kContext,
                           .seed = 5,
                           .chain = {{norm, autoregressive, reverse, autoregressive, norm}}});
    parameters_ = AsFloats(RandomParameters(*flow_, 3));
  }

  Slice SliceOf(const std::string& name) const {
    const auto found =
        std::ranges::find(flow_->layout().entries(), name, &ParameterLayout::Entry::name);
    EXPECT_NE(found, flow_->layout().entries().end()) << name;
    return found->slice;
  }

  // Of column c of the rows.
  double Mean(int c) const {
    double sum = 0.0;
    for (int r = 0; r < kRows; ++r) sum += x_(r, c);
    return sum / kRows;
  }
  double MeanSquare(int c, double centre) const {
    double sum = 0.0;
    for (int r = 0; r < kRows; ++r) sum += (x_(r, c) - centre) * (x_(r, c) - centre);
    return sum / kRows;
  }
};

// nflows starts its running variance at 0: in evaluation a fresh layer multiplies by 1 / sqrt(eps).
TEST_F(BatchNormTest, AFreshLayerDoesNotAmplify) {
  const auto flow = *Flow::Create({.dim = 7, .chain = {{LayerSpec{.norm = NormLayer{true}}}}});
  const ParameterValues parameters = flow->InitialParameters();
  const auto backend = NewBackend(1);
  Output z{Rows<float>(kRows, 7), std::vector<double>(kRows)};
  const auto weights = *backend->Upload(flow, parameters.span());
  ASSERT_TRUE(backend->Forward(*weights, x_.view(), {}, z.rows.view(), z.values, {}).ok());
  for (int r = 0; r < kRows; ++r) {
    EXPECT_NEAR(z.values[r], 0.0, 1e-4);
    for (int c = 0; c < 7; ++c) EXPECT_NEAR(z.rows(r, c), x_(r, c), 1e-4);
  }
}

// Known from other libraries to fail, or to wait for a first Forward.
TEST_F(BatchNormTest, InverseBeforeForward) {
  const auto backend = NewBackend(1);
  const auto weights = Upload(*backend);
  Output x{Rows<float>(kRows, 7), std::vector<double>(kRows)};
  Output back{Rows<float>(kRows, 7), std::vector<double>(kRows)};
  ASSERT_TRUE(
      backend->Inverse(*weights, x_.view(), context_.view(), x.rows.view(), x.values, {}).ok());
  ASSERT_TRUE(
      backend->Forward(*weights, x.rows.view(), context_.view(), back.rows.view(), back.values, {})
          .ok());
  for (int r = 0; r < kRows; ++r) {
    EXPECT_NEAR(x.values[r], -back.values[r], 1e-3);
    for (int c = 0; c < 7; ++c) EXPECT_NEAR(back.rows(r, c), x_(r, c), 1e-3);
  }
}

// Each column's share of the log-density, where no layer mixes columns.
TEST_F(BatchNormTest, ChainTermsAddUp) {
  LayerSpec norm, autoregressive;
  norm.norm = NormLayer{.batch = true};
  autoregressive.autoregressive = AutoregressiveLayer{.network = {.hidden_sizes = {12}}};
  const auto flow = *Flow::Create({.dim = 7, .chain = {{norm, autoregressive, norm}}});
  const ParameterValues parameters = AsFloats(RandomParameters(*flow, 3));
  const auto backend = NewBackend(1);
  const auto weights = *backend->Upload(flow, parameters.span());
  Rows<double> terms(kRows, 7);
  std::vector<double> log_prob(kRows);
  ASSERT_TRUE(backend->ChainTerms(*weights, x_.view(), {}, terms.view(), {}).ok());
  ASSERT_TRUE(backend->LogProb(*weights, x_.view(), {}, log_prob, {}).ok());
  for (int r = 0; r < kRows; ++r) {
    double sum = 0.0;
    for (int c = 0; c < 7; ++c) sum += terms(r, c);
    EXPECT_NEAR(sum, log_prob[r], 1e-9 * std::max(1.0, std::fabs(log_prob[r])));
  }
}

// The loss is by running statistics, like every other density: training equals evaluation.
TEST_F(BatchNormTest, TrainingLossIsWhatLogProbGives) {
  const auto backend = NewBackend(2);
  const auto session = *backend->StartTraining(flow_, FreshState());
  const double loss = session->ComputeGradient(x_.view(), context_.view()).loss;
  double mean = 0.0;
  for (const double v : LogProbOf(*backend, 0, kRows)) mean -= v / kRows;
  EXPECT_NEAR(loss, mean, 1e-12 * std::fabs(mean));
}

TEST_F(BatchNormTest, GradientIsThatOfTheMeanLossAtFixedStatistics) {
  const auto backend = NewBackend(2);
  const auto session = *backend->StartTraining(flow_, FreshState());
  const double norm = session->ComputeGradient(x_.view(), context_.view()).gradient_norm;
  const std::vector<double> exact = LogProbAdjoint(*PlainEngine().kernels, *flow_, ExactPoint(),
                                                   std::vector<double>(kRows, -1.0 / kRows))
                                        .parameters;
  double square = 0.0, largest = 0.0;
  for (const auto& entry : flow_->layout().entries())
    for (std::size_t i = entry.slice.offset; i < entry.slice.offset + entry.slice.extent(); ++i)
      if (!entry.statistic) {
        square += exact[i] * exact[i];
        largest = std::max(largest, std::fabs(exact[i] - session->gradient()[i]));
      }
  EXPECT_NEAR(norm, std::sqrt(square), 1e-4 * std::sqrt(square)) << "statistics are no gradient";
  EXPECT_LE(largest, 1e-4 * std::sqrt(square));
}

// Neither clipping, weight decay nor the learning rate has a say in it.
TEST_F(BatchNormTest, StatisticsMoveTowardsThoseOfTheBatch) {
  const auto backend = NewBackend(2);
  const auto session = *backend->StartTraining(flow_, FreshState());
  session->ComputeGradient(x_.view(), context_.view());
  session->Step({.learning_rate = 0.5,
                 .weight_decay = 0.5,
                 .gradient_scale = 1e-3,
                 .ema_decay = 0.999,
                 .statistics_rate = 0.25});
  const TrainState state = session->Save();
  const Slice slice = SliceOf("0.batch_norm.statistics");
  // The average after one step: 2 / 11 of its start.
  const double kept = 2.0 / 11.0;
  for (int c = 0; c < 7; ++c) {
    const std::size_t m = slice.offset + 2 * c, v = m + 1;
    const double before = parameters_[m], variance_before = parameters_[v];
    const double mean = before + 0.25 * (Mean(c) - before);
    const double variance = variance_before + 0.25 * (MeanSquare(c, before) - variance_before);
    EXPECT_NEAR(state.parameters[m], mean, 1e-5);
    EXPECT_NEAR(state.parameters[v], variance, 1e-5);
    EXPECT_NEAR(state.ema[m], kept * before + (1 - kept) * mean, 1e-5);
    EXPECT_NEAR(state.ema[v], kept * variance_before + (1 - kept) * variance, 1e-5);
    EXPECT_EQ(state.first_moment[v], 0.0f);
    EXPECT_EQ(state.second_moment[v], 0.0f);
  }
}

// A layer behind others sees what they make of the rows.
TEST_F(BatchNormTest, StatisticsSettleAtThoseOfTheRows) {
  const auto backend = NewBackend(2);
  const auto session = *backend->StartTraining(flow_, FreshState());
  for (int step = 0; step < 100; ++step) {
    session->ComputeGradient(x_.view(), context_.view());
    session->Step({.learning_rate = 0.0});
  }
  const TrainState state = session->Save();
  Rows<float> reaching = x_;
  ASSERT_TRUE(
      backend->Advance(*flow_, state.parameters.span(), 0, 4, context_.view(), reaching.view(), {})
          .ok());
  const auto moments = *backend->ComputeMoments(reaching.view(), /*covariance=*/true, {});
  const Slice first = SliceOf("0.batch_norm.statistics");
  const Slice last = SliceOf("4.batch_norm.statistics");
  for (int c = 0; c < 7; ++c) {
    EXPECT_NEAR(state.parameters[first.offset + 2 * c], Mean(c), 1e-3);
    EXPECT_NEAR(state.parameters[first.offset + 2 * c + 1], MeanSquare(c, Mean(c)), 1e-3);
    const double variance = moments.covariance[8 * c];
    EXPECT_NEAR(state.parameters[last.offset + 2 * c], moments.mean[c], 1e-2 * std::sqrt(variance));
    EXPECT_NEAR(state.parameters[last.offset + 2 * c + 1], variance, 1e-2 * variance);
  }
}

TEST_F(BatchNormTest, TrainingIsTheSameOnAnyNumberOfThreadsAndGoesOnFromASavedState) {
  const AdamStep step{.learning_rate = 1e-2, .ema_decay = 0.9};
  const auto train = [&](int threads, bool interrupted) {
    const auto backend = NewBackend(threads);
    auto session = *backend->StartTraining(flow_, FreshState());
    for (const int rows : {kRows, 1, 17, 200}) {
      if (interrupted) session = *backend->StartTraining(flow_, session->Save());
      session->ComputeGradient(x_.view().Slice(0, rows), context_.view().Slice(0, rows));
      session->Step(step);
    }
    return session->Save();
  };
  const TrainState one = train(1, false);
  for (const TrainState& other : {train(4, false), train(1, true), train(3, true)}) {
    ExpectSameBits<float>(other.parameters.span(), one.parameters.span());
    ExpectSameBits<float>(other.ema.span(), one.ema.span());
  }
}

}  // namespace
}  // namespace millrace
