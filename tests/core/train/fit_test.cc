// SPDX-License-Identifier: Apache-2.0
// The training loop: what it asks of a session, when it ends, what it keeps.
#include "core/train/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/core/train/tables.h"

namespace millrace {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A flow whose only parameter counts the steps taken and whose moving average is minus that.
class CountingSession final : public TrainSession {
 public:
  CountingSession() {
    state_.parameters = ParameterValues(1);
    state_.ema = ParameterValues(1);
  }

  LossAndGradient ComputeGradient(RowsView<const float> x, RowsView<const float> context) override {
    batches.emplace_back(x.data, x.data + x.rows * x.cols);
    contexts.emplace_back(context.data, context.data + context.rows * context.cols);
    return {loss(static_cast<int>(batches.size())), gradient_norm};
  }
  void SampleBatch(std::uint64_t, std::uint64_t, RowsView<const float>, RowsView<float>,
                   std::span<double>) override {}
  double ComputeSampleGradient(std::uint64_t, std::uint64_t, RowsView<const float>,
                               RowsView<const float>, std::span<const double>) override {
    return 0.0;
  }
  void Step(const AdamStep& step) override {
    steps.push_back(step);
    ++state_.steps;
    state_.parameters[0] = static_cast<float>(state_.steps);
    state_.ema[0] = -state_.parameters[0];
  }
  absl::Status LogProb(RowsView<const float>, RowsView<const float> context, bool use_ema,
                       std::span<double> log_prob, std::stop_token stop) override {
    validation_context.assign(context.data, context.data + context.rows * context.cols);
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    averaged.push_back(use_ema);
    std::ranges::fill(log_prob, validation(static_cast<int>(state_.parameters[0])));
    return absl::OkStatus();
  }
  TrainState Save() const override { return state_; }
  void Restore(const TrainState& state) override { state_ = state; }
  std::span<const float> gradient() const override { return {}; }

  std::function<double(int call)> loss = [](int) { return 1.0; };
  std::function<double(int taken)> validation = [](int taken) { return taken; };
  double gradient_norm = 1.0;

  std::vector<std::vector<float>> batches;   // that gradients were asked of
  std::vector<std::vector<float>> contexts;  // of the batches
  std::vector<float> validation_context;
  std::vector<AdamStep> steps;
  std::vector<bool> averaged;  // whether the moving average was scored

 private:
  TrainState state_;
};

class FitTest : public testing::Test {
 protected:
  static constexpr int kRows = 10;

  FitTest() : rows_(kRows, 1), validation_(3, 1) {
    std::iota(rows_.data(), rows_.data() + kRows, 0.0f);
    options_ = {.batch_size = 4,
                .max_epochs = 5,
                .learning_rate = 0.5,
                .schedule = LearningRateSchedule::kConstant,
                .patience = 100};
  }

  absl::Status Run(TrainSession& session, std::stop_token stop = {},
                   const ProgressCallback& progress = {}) {
    const FitData data{
        .rows = kRows,
        .dim = 1,
        .epoch_rows = [&](std::int64_t) { return RowsView<const float>(rows_.view()); },
        .context = context_.view(),
        .validation = {validation_.view(), validation_context_.view()}};
    return Fit(session, data, options_, progress, after_epoch_, std::move(stop), state_);
  }

  Rows<float> rows_, validation_;
  Rows<float> context_, validation_context_;  // none, in most tests
  FitOptions options_;
  FitState state_;
  std::function<absl::Status(const FitState&)> after_epoch_;
};

TEST(LearningRateTest, WarmsUpAndFallsAlongACosine) {
  FitOptions options{
      .learning_rate = 0.2, .schedule = LearningRateSchedule::kConstant, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(LearningRate(options, 0, 0.0), 0.05);
  EXPECT_DOUBLE_EQ(LearningRate(options, 2, 0.0), 0.15);
  EXPECT_DOUBLE_EQ(LearningRate(options, 3, 0.0), 0.2);
  EXPECT_DOUBLE_EQ(LearningRate(options, 1000, 1.0), 0.2);
  options.schedule = LearningRateSchedule::kCosine;
  EXPECT_DOUBLE_EQ(LearningRate(options, 0, 0.0), 0.05);
  EXPECT_DOUBLE_EQ(LearningRate(options, 10, 0.0), 0.2);
  EXPECT_NEAR(LearningRate(options, 10, 0.5), 0.2 * 0.505, 1e-12);
  EXPECT_NEAR(LearningRate(options, 10, 1.0), 0.002, 1e-12);
  EXPECT_NEAR(LearningRate(options, 10, 7.0), 0.002, 1e-12)
      << "beyond the end it stays at its floor";
  options.warmup_steps = 0;
  EXPECT_DOUBLE_EQ(LearningRate(options, 0, 0.0), 0.2);
}

TEST_F(FitTest, EveryEpochSeesEveryRowOnceInAnOrderOfItsOwn) {
  CountingSession session, same;
  ASSERT_TRUE(Run(session).ok());
  ASSERT_EQ(session.batches.size(), 15u);
  std::set<std::vector<float>> orders;
  for (int epoch = 0; epoch < 5; ++epoch) {
    std::vector<float> order;
    for (int s = 0; s < 3; ++s)
      order.insert(order.end(), session.batches[3 * epoch + s].begin(),
                   session.batches[3 * epoch + s].end());
    EXPECT_EQ(session.batches[3 * epoch + 2].size(), 2u);
    orders.insert(order);
    std::ranges::sort(order);
    EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
  EXPECT_EQ(orders.size(), 5u);
  state_ = {};
  ASSERT_TRUE(Run(same).ok());
  EXPECT_EQ(same.batches, session.batches);
  state_ = {};
  options_.seed = 1;
  CountingSession other;
  ASSERT_TRUE(Run(other).ok());
  EXPECT_NE(other.batches, session.batches);
}

TEST_F(FitTest, EveryRowKeepsItsContext) {
  context_ = Rows<float>(kRows, 2);
  for (int r = 0; r < kRows; ++r) {
    context_(r, 0) = 100.0f + rows_(r, 0);
    context_(r, 1) = 200.0f + rows_(r, 0);
  }
  validation_context_ = Rows<float>(3, 2);
  std::iota(validation_context_.data(), validation_context_.data() + 6, 1.0f);
  CountingSession session;
  ASSERT_TRUE(Run(session).ok());
  ASSERT_EQ(session.contexts.size(), 15u);
  for (std::size_t b = 0; b < session.batches.size(); ++b) {
    ASSERT_EQ(session.contexts[b].size(), 2 * session.batches[b].size());
    for (std::size_t r = 0; r < session.batches[b].size(); ++r) {
      EXPECT_EQ(session.contexts[b][2 * r], 100.0f + session.batches[b][r]);
      EXPECT_EQ(session.contexts[b][2 * r + 1], 200.0f + session.batches[b][r]);
    }
  }
  EXPECT_THAT(session.validation_context, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(FitTest, StepsFollowTheScheduleAndShorterBatchesCountByTheirRows) {
  options_ = {.batch_size = 4,
              .max_epochs = 2,
              .learning_rate = 0.5,
              .warmup_steps = 2,
              .weight_decay = 0.25,
              .ema_decay = 0.9};
  CountingSession session;
  ASSERT_TRUE(Run(session).ok());
  ASSERT_EQ(session.steps.size(), 6u);
  for (int s = 0; s < 6; ++s) {
    const double weight = s % 3 == 2 ? 0.5 : 1.0;
    EXPECT_DOUBLE_EQ(session.steps[s].learning_rate, weight * LearningRate(options_, s, s / 6.0))
        << s;
    EXPECT_DOUBLE_EQ(session.steps[s].statistics_rate, weight * AdamStep().statistics_rate) << s;
    EXPECT_EQ(session.steps[s].weight_decay, 0.25);
    EXPECT_EQ(session.steps[s].ema_decay, 0.9);
  }
}

TEST_F(FitTest, GradientsBeyondTheNormAreScaledDown) {
  options_.max_epochs = 1;
  for (const auto& [norm, clip, scale] : {std::tuple{4.0, 5.0, 1.0}, std::tuple{20.0, 5.0, 0.25},
                                          std::tuple{20.0, 0.0, 1.0}, std::tuple{0.0, 5.0, 1.0}}) {
    CountingSession session;
    session.gradient_norm = norm;
    options_.gradient_clip_norm = clip;
    state_ = {};
    ASSERT_TRUE(Run(session).ok());
    for (const AdamStep& step : session.steps) EXPECT_DOUBLE_EQ(step.gradient_scale, scale) << norm;
  }
}

TEST_F(FitTest, EarlyStoppingKeepsTheBestEpoch) {
  options_.max_epochs = 50;
  options_.patience = 3;
  CountingSession session;
  session.validation = [](int steps) { return steps == 6 ? 3.0 : steps == 3 ? 1.0 : -steps; };
  ASSERT_TRUE(Run(session).ok());
  EXPECT_EQ(state_.stop_reason, StopReason::kEarlyStopping);
  EXPECT_EQ(state_.best_epoch, 2);
  EXPECT_EQ(state_.epoch, 5);
  EXPECT_EQ(state_.best[0], 6.0f);
  EXPECT_EQ(state_.best_validation_nats, 3.0);
  EXPECT_EQ(state_.train.steps, 15);
}

TEST_F(FitTest, TheUntrainedFlowIsACandidate) {
  options_.patience = 2;
  CountingSession session;
  session.validation = [](int steps) { return -steps; };
  ASSERT_TRUE(Run(session).ok());
  EXPECT_EQ(state_.stop_reason, StopReason::kEarlyStopping);
  EXPECT_EQ(state_.best_epoch, 0);
  EXPECT_EQ(state_.epoch, 2);
  EXPECT_EQ(state_.best[0], 0.0f);
}

TEST_F(FitTest, TheMovingAverageIsScoredAndKept) {
  options_.ema_decay = 0.5;
  CountingSession session;
  ASSERT_TRUE(Run(session).ok());
  EXPECT_THAT(session.averaged, ElementsAre(false, true, true, true, true, true));
  EXPECT_EQ(state_.best[0], -15.0f);
  EXPECT_EQ(state_.stop_reason, StopReason::kMaxEpochs);
  EXPECT_EQ(state_.epoch, 5);
}

TEST_F(FitTest, TimeRunsOutInTheMiddleOfAnEpoch) {
  options_ = {.batch_size = 1, .max_epochs = 1000000, .max_duration = absl::Milliseconds(30)};
  CountingSession session;
  session.loss = [](int) {
    std::this_thread::sleep_for(std::chrono::milliseconds(8));
    return 1.0;
  };
  TrainProgress last;
  ASSERT_TRUE(Run(session, {}, [&](const TrainProgress& p) { last = p; }).ok());
  EXPECT_EQ(state_.stop_reason, StopReason::kMaxDuration);
  EXPECT_EQ(state_.epoch, 1);
  EXPECT_LT(session.steps.size(), 10u) << "not a whole epoch";
  EXPECT_EQ(state_.best[0], static_cast<float>(session.steps.size())) << "what was learned is kept";
  EXPECT_DOUBLE_EQ(last.train_nats, -1.0) << "the mean over the rows seen";
  EXPECT_EQ(last.step, static_cast<std::int64_t>(session.steps.size()));
}

TEST_F(FitTest, ALossThatIsNotFiniteIsStoodBackFromWithHalfTheRate) {
  for (const double bad : {kNan, std::numeric_limits<double>::infinity()}) {
    CountingSession session;
    session.loss = [&](int call) {
      return call == 5 ? bad : 1.0;
    };  // second batch of the second epoch
    state_ = {};
    ASSERT_TRUE(Run(session).ok());
    EXPECT_EQ(state_.divergences, 1);
    EXPECT_EQ(state_.rate_scale, 0.5);
    EXPECT_EQ(state_.epoch, 5);
    EXPECT_EQ(state_.train.steps, 15) << "the step of the epoch that diverged was taken back";
    EXPECT_EQ(session.batches[3], session.batches[5]) << "the epoch is repeated as it was";
    EXPECT_EQ(session.steps[3].learning_rate, 0.5);
    EXPECT_EQ(session.steps[4].learning_rate, 0.25);
  }
}

TEST_F(FitTest, SoIsAGradientOrAValidationThatIsNotFinite) {
  CountingSession session;
  bool was_bad = false;
  session.validation = [&](int steps) {
    return steps == 6 && !std::exchange(was_bad, true) ? kNan : steps;
  };
  ASSERT_TRUE(Run(session).ok());
  EXPECT_EQ(state_.divergences, 1);
  EXPECT_EQ(state_.best[0], 15.0f);

  CountingSession other;
  other.gradient_norm = std::numeric_limits<double>::infinity();
  state_ = {};
  EXPECT_EQ(Run(other).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(other.steps.empty());
}

TEST_F(FitTest, DivergingAgainAndAgainEndsTheRun) {
  CountingSession session;
  session.loss = [](int call) { return call > 3 ? kNan : 1.0; };
  const absl::Status status = Run(session);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("learning_rate"));
  EXPECT_EQ(state_.divergences, FitOptions::kMaxDivergences + 1);
  EXPECT_EQ(session.batches.size(), 3u + FitOptions::kMaxDivergences + 1);
  EXPECT_EQ(state_.best[0], 3.0f) << "the last good epoch";
}

TEST_F(FitTest, CancellationComesBetweenSteps) {
  std::stop_source stop;
  CountingSession session;
  session.loss = [&](int call) {
    if (call == 5) stop.request_stop();
    return 1.0;
  };
  EXPECT_EQ(Run(session, stop.get_token()).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(session.batches.size(), 5u);
}

TEST_F(FitTest, WhatFollowsAnEpochMayEndTheRun) {
  after_epoch_ = [](const FitState& state) {
    return state.epoch == 2 ? absl::DataLossError("full") : absl::OkStatus();
  };
  CountingSession session;
  EXPECT_EQ(Run(session), absl::DataLossError("full"));
  EXPECT_EQ(session.steps.size(), 6u);
}

TEST_F(FitTest, GoesOnFromAState) {
  options_.schedule = LearningRateSchedule::kCosine;
  options_.warmup_steps = 4;
  std::vector<FitState> states;
  after_epoch_ = [&](const FitState& state) {
    states.push_back(state);
    return absl::OkStatus();
  };
  CountingSession whole;
  ASSERT_TRUE(Run(whole).ok());
  ASSERT_EQ(states.size(), 5u);
  const FitState end = state_;
  state_ = states[1];
  CountingSession rest;
  rest.Restore(state_.train);
  ASSERT_TRUE(Run(rest).ok());
  EXPECT_EQ(rest.batches, std::vector(whole.batches.begin() + 6, whole.batches.end()));
  for (std::size_t s = 0; s < rest.steps.size(); ++s)
    EXPECT_EQ(rest.steps[s].learning_rate, whole.steps[s + 6].learning_rate);
  EXPECT_EQ(state_.best[0], end.best[0]);
  EXPECT_EQ(state_.train.steps, end.train.steps);
  EXPECT_GE(state_.seconds, states[1].seconds);
}

TEST_F(FitTest, ProgressIsReportedAfterEveryEpoch) {
  std::vector<TrainProgress> seen;
  CountingSession session;
  session.loss = [](int call) { return call; };
  session.validation = [](int steps) { return steps == 6 ? 100.0 : steps; };
  ASSERT_TRUE(Run(session, {}, [&](const TrainProgress& p) { seen.push_back(p); }).ok());
  ASSERT_EQ(seen.size(), 5u);
  EXPECT_DOUBLE_EQ(seen[0].train_nats, -(1 * 4 + 2 * 4 + 3 * 2) / 10.0)
      << "batches count by their rows";
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].epoch, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(seen[i].step, 3 * seen[i].epoch);
    EXPECT_EQ(seen[i].best_validation_nats, i == 0 ? 3.0 : 100.0);
    EXPECT_GT(seen[i].rows_per_second, 0.0);
    EXPECT_GE(seen[i].elapsed, absl::ZeroDuration());
    EXPECT_GE(seen[i].eta, absl::ZeroDuration());
  }
  EXPECT_EQ(seen[4].eta, absl::ZeroDuration());
  EXPECT_THAT(seen[1].validation_nats, DoubleNear(100.0, 0.0));
}

TEST_F(FitTest, ProgressIsToldInTheMiddleOfALongEpoch) {
  std::vector<TrainProgress> seen;
  CountingSession session;
  session.loss = [](int) {
    std::this_thread::sleep_for(std::chrono::milliseconds(550));
    return 1.0;
  };
  options_.max_epochs = 2;
  ASSERT_TRUE(Run(session, {}, [&](const TrainProgress& p) { seen.push_back(p); }).ok());
  ASSERT_GE(seen.size(), 4u);
  EXPECT_EQ(seen[0].epoch, 0);
  EXPECT_GE(seen[0].step, 1);
  EXPECT_LT(seen[0].step, 3);
  EXPECT_TRUE(std::isnan(seen[0].train_nats) && std::isnan(seen[0].validation_nats) &&
              std::isnan(seen[0].best_validation_nats));
  EXPECT_GT(seen[0].rows_per_second, 0.0);
  EXPECT_GT(seen[0].elapsed, absl::Seconds(0.5));
  EXPECT_GT(seen[0].eta, absl::Seconds(0.5));
  const auto second = std::ranges::find(seen, 1, &TrainProgress::epoch);
  ASSERT_NE(second, seen.end());
  EXPECT_EQ(second->step, 3);
  EXPECT_EQ((second + 1)->epoch, 1) << "within the second epoch";
  EXPECT_GT((second + 1)->step, 3);
  EXPECT_EQ((second + 1)->validation_nats, second->validation_nats);
}

}  // namespace
}  // namespace millrace
