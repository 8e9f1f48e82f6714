// SPDX-License-Identifier: Apache-2.0
// Training on the processor's backend: its gradient, its steps, and that threads change no bit of
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/math/affine.h"
#include "tests/core/flow/backend_fixture.h"
#include "tests/support/engines.h"

namespace millrace {
namespace {

class TrainSessionTest : public BackendTest {};

struct Training {
  std::vector<double> losses;
  std::vector<float> gradient;
  TrainState state;
};

TEST_F(TrainSessionTest, TrainingIsTheSameOnAnyNumberOfThreads) {
  const auto train = [&](int threads) {
    const auto backend = NewBackend(threads);
    const auto session = *backend->StartTraining(flow_, FreshState());
    Training run;
    for (const int rows : {kRows, 1, 17, 64, 200}) {
      const auto got =
          session->ComputeGradient(x_.view().Slice(0, rows), context_.view().Slice(0, rows));
      run.losses.push_back(got.loss);
      run.losses.push_back(got.gradient_norm);
      session->Step({.learning_rate = 1e-2, .weight_decay = 1e-2, .ema_decay = 0.9});
    }
    run.gradient.assign(session->gradient().begin(), session->gradient().end());
    run.state = session->Save();
    return run;
  };
  const Training one = train(1);
  for (const int threads : {2, 3, 8}) {
    const Training many = train(threads);
    ExpectSameBits<double>(many.losses, one.losses);
    ExpectSameBits<float>(many.gradient, one.gradient);
    ExpectSameBits<float>(many.state.parameters.span(), one.state.parameters.span());
    ExpectSameBits<float>(many.state.ema.span(), one.state.ema.span());
  }
}

TEST_F(TrainSessionTest, GradientIsThatOfTheMeanLoss) {
  const auto backend = NewBackend(2);
  const auto session = *backend->StartTraining(flow_, FreshState());
  const auto got = session->ComputeGradient(x_.view(), context_.view());
  const Point point = ExactPoint();
  const std::vector<double> exact = LogProbAdjoint(*PlainEngine().kernels, *flow_, point,
                                                   std::vector<double>(kRows, -1.0 / kRows))
                                        .parameters;
  const std::vector<double> actual(session->gradient().begin(), session->gradient().end());
  EXPECT_LE(MaxAbsDifference(actual, exact), 1e-4 * MaxAbs(exact));
  double loss = 0.0, square = 0.0;
  for (const double v : LogProb(*PlainEngine().kernels, *flow_, point)) loss -= v / kRows;
  for (const double g : exact) square += g * g;
  EXPECT_NEAR(got.loss, loss, 1e-5 * std::fabs(loss));
  EXPECT_NEAR(got.gradient_norm, std::sqrt(square), 1e-4 * std::sqrt(square));
}

// With one column log_det is the log-scale itself, so the penalised objective can be written down.
TEST_F(TrainSessionTest, PenaltyIsOnSquaredLogScales) {
  constexpr double kPenalty = 0.7;
  const FlowSpec spec{.dim = 1, .seed = 3, .stack = StackSpec{.layers = 1, .hidden_sizes = {4}}};
  const auto flow = *Flow::Create(spec);
  TrainState start;
  start.parameters = flow->InitialParameters();
  const auto output = std::ranges::find(flow->layout().entries(), "0.made.output.bias",
                                        &ParameterLayout::Entry::name);
  ASSERT_NE(output, flow->layout().entries().end());
  const std::size_t a = output->slice.offset + 1;
  start.parameters[a] = 0.8f;
  const Rows<float> x = [] {
    Rows<float> rows(20, 1);
    for (int r = 0; r < 20; ++r) rows(r, 0) = 0.1f * static_cast<float>(r) - 0.9f;
    return rows;
  }();
  const auto objective = [&](double value) {
    const double s = SoftClip(value);
    double sum = 0.0;
    for (int r = 0; r < 20; ++r) {
      const double z = x(r, 0) * std::exp(s);
      sum += 0.5 * z * z - s + kPenalty * s * s;
    }
    return sum / 20;
  };
  const auto backend = NewBackend(1);
  const auto session = *backend->StartTraining(flow, start);
  session->set_log_scale_penalty(kPenalty);
  session->ComputeGradient(x.view(), {});
  const double h = 1e-5;
  EXPECT_NEAR(session->gradient()[a], (objective(0.8 + h) - objective(0.8 - h)) / (2 * h), 1e-5);
}

// The same with several columns and layers: against the plain kernels in double.
TEST_F(TrainSessionTest, PenaltyCountsEveryColumn) {
  constexpr double kPenalty = 0.7;
  const auto backend = NewBackend(2);
  const auto session = *backend->StartTraining(flow_, FreshState());
  session->set_log_scale_penalty(kPenalty);
  session->ComputeGradient(x_.view(), context_.view());
  const auto exact = [&](double penalty) {
    return LogProbAdjoint(*PlainEngine().kernels, *flow_, ExactPoint(),
                          std::vector<double>(kRows, -1.0 / kRows), penalty)
        .parameters;
  };
  const std::vector<double> penalised = exact(kPenalty);
  const std::vector<double> actual(session->gradient().begin(), session->gradient().end());
  EXPECT_LE(MaxAbsDifference(actual, penalised), 1e-4 * MaxAbs(penalised));
  // Of every column, in every layer, the penalty moves the bias of the log-scale.
  const std::vector<double> plain = exact(0.0);
  int biases = 0;
  for (const auto& entry : flow_->layout().entries()) {
    if (!entry.name.ends_with("made.output.bias")) continue;
    for (int c = 1; c < entry.slice.cols; c += 2, ++biases)
      EXPECT_GT(std::fabs(penalised[entry.slice.offset + c] - plain[entry.slice.offset + c]), 1e-3)
          << entry.name << " " << c;
  }
  EXPECT_EQ(biases, 3 * flow_->dim());
}

// Kingma, Ba 2015, algorithm 1, with Loshchilov and Hutter's decay.
TEST_F(TrainSessionTest, StepIsAdam) {
  const auto backend = NewBackend(1);
  const auto session = *backend->StartTraining(flow_, FreshState());
  const AdamStep step{.learning_rate = 3e-3, .weight_decay = 0.1, .gradient_scale = 0.5};
  std::vector<double> p(parameters_.data(), parameters_.data() + parameters_.size());
  std::vector<double> m(p.size()), v(p.size());
  std::vector<bool> decays(p.size());
  for (const auto& entry : flow_->layout().entries())
    for (std::size_t i = 0; i < entry.slice.extent(); ++i)
      decays[entry.slice.offset + i] = entry.decays;
  for (int t = 1; t <= 3; ++t) {
    session->ComputeGradient(x_.view(), context_.view());
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double g = 0.5 * session->gradient()[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      if (decays[i]) p[i] -= 3e-3 * 0.1 * p[i];
      p[i] -= 3e-3 * (m[i] / (1 - std::pow(0.9, t))) /
              (std::sqrt(v[i] / (1 - std::pow(0.999, t))) + 1e-8);
    }
    session->Step(step);
  }
  const TrainState state = session->Save();
  EXPECT_EQ(state.steps, 3);
  const std::vector<double> actual(state.parameters.data(),
                                   state.parameters.data() + state.parameters.size());
  EXPECT_LE(MaxAbsDifference(actual, p), 3e-5);
}

TEST_F(TrainSessionTest, GoesOnFromASavedStateToTheBit) {
  const auto backend = NewBackend(2);
  const AdamStep step{.learning_rate = 1e-2, .ema_decay = 0.5};
  const auto advance = [&](TrainSession& session) {
    session.ComputeGradient(x_.view(), context_.view());
    session.Step(step);
  };
  const auto session = *backend->StartTraining(flow_, FreshState());
  advance(*session);
  const TrainState saved = session->Save();
  advance(*session);
  const TrainState there = session->Save();
  const auto other = *backend->StartTraining(flow_, saved);
  advance(*other);
  ExpectSameBits<float>(other->Save().parameters.span(), there.parameters.span());
  ExpectSameBits<float>(other->Save().ema.span(), there.ema.span());
  session->Restore(saved);
  advance(*session);
  ExpectSameBits<float>(session->Save().parameters.span(), there.parameters.span());
  ExpectSameBits<float>(session->Save().second_moment.span(), there.second_moment.span());
}

TEST_F(TrainSessionTest, SessionScoresWithPresentOrAveragedParameters) {
  const auto backend = NewBackend(2);
  const auto session = *backend->StartTraining(flow_, FreshState());
  std::vector<double> present(kRows), averaged(kRows);
  ASSERT_TRUE(session->LogProb(x_.view(), context_.view(), false, present, {}).ok());
  ExpectSameBits<double>(present, LogProbOf(*backend, 0, kRows));
  session->ComputeGradient(x_.view(), context_.view());
  session->Step({.learning_rate = 1e-1, .ema_decay = 0.99});
  const TrainState state = session->Save();
  for (const bool use_ema : {false, true}) {
    ASSERT_TRUE(session->LogProb(x_.view(), context_.view(), use_ema, averaged, {}).ok());
    const auto weights = *backend->Upload(flow_, (use_ema ? state.ema : state.parameters).span());
    ASSERT_TRUE(backend->LogProb(*weights, x_.view(), context_.view(), present, {}).ok());
    ExpectSameBits<double>(averaged, present);
  }
}

}  // namespace
}  // namespace millrace
