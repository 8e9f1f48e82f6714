// SPDX-License-Identifier: Apache-2.0
// What the loop asks of its session, and what it does about divergences.
#include "core/train/reverse_kl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Draws the numbers of the rows, and remembers what it was asked.
class RecordingSession final : public TrainSession {
 public:
  RecordingSession() {
    state_.parameters = ParameterValues(1);
    state_.ema = ParameterValues(1);
  }
  void SampleBatch(std::uint64_t, std::uint64_t first_row, RowsView<const float>, RowsView<float> x,
                   std::span<double> log_q) override {
    first_rows.push_back(first_row);
    for (std::int64_t r = 0; r < x.rows; ++r) {
      x(r, 0) = sample(static_cast<float>(first_row) + static_cast<float>(r));
      log_q[r] = 10.0;
    }
  }
  double ComputeSampleGradient(std::uint64_t, std::uint64_t first_row, RowsView<const float>,
                               RowsView<const float> x_bar,
                               std::span<const double> log_q_bar) override {
    EXPECT_EQ(first_row, first_rows.back());
    x_bars.assign(x_bar.data, x_bar.data + x_bar.rows);
    log_q_bars.assign(log_q_bar.begin(), log_q_bar.end());
    return norm(static_cast<int>(++gradients));
  }
  void Step(const AdamStep& step) override {
    steps.push_back(step);
    state_.parameters[0] = static_cast<float>(++state_.steps);
    state_.ema[0] = -state_.parameters[0];
  }
  TrainState Save() const override { return state_; }
  void Restore(const TrainState& state) override { state_ = state; }

  LossAndGradient ComputeGradient(RowsView<const float>, RowsView<const float>) override {
    return {};
  }
  absl::Status LogProb(RowsView<const float>, RowsView<const float>, bool, std::span<double>,
                       std::stop_token) override {
    return absl::OkStatus();
  }
  std::span<const float> gradient() const override { return {}; }

  std::function<float(float row)> sample = [](float row) { return row; };
  std::function<double(int call)> norm = [](int) { return 1.0; };
  int gradients = 0;
  std::vector<std::uint64_t> first_rows;
  std::vector<float> x_bars;
  std::vector<double> log_q_bars;
  std::vector<AdamStep> steps;

 private:
  TrainState state_;
};

// ln p = 3 x but for row 2, where p is 0.
class Target final : public FlowTarget {
 public:
  absl::Status Evaluate(RowsView<const float> x, std::span<double> log_density,
                        RowsView<float> gradient) override {
    for (std::int64_t r = 0; r < x.rows; ++r) {
      log_density[r] = x(r, 0) == 2.0f ? -INFINITY : 3.0 * x(r, 0);
      gradient(r, 0) = slope;
    }
    return absl::OkStatus();
  }
  float slope = 3.0f;
};

class ReverseKlTest : public testing::Test {
 protected:
  ReverseKlTest() {
    options_.batch_size = 4;
    options_.steps = 250;
    options_.learning_rate = 0.1;
    options_.schedule = LearningRateSchedule::kConstant;
  }
  absl::StatusOr<ReverseKlResult> Fit() {
    return FitByReverseKl(session_, 1, target_, options_, {}, {});
  }

  RecordingSession session_;
  Target target_;
  ReverseKlOptions options_;
};

TEST_F(ReverseKlTest, LossIsTheMeanOverRowsInside) {
  options_.steps = 1;
  ASSERT_TRUE(Fit().ok());
  EXPECT_THAT(session_.x_bars, ElementsAre(-1.0f, -1.0f, 0.0f, -1.0f));
  EXPECT_THAT(session_.log_q_bars, ElementsAre(1.0 / 3, 1.0 / 3, 0.0, 1.0 / 3));
}

TEST_F(ReverseKlTest, AnnealingFlattensTheDensity) {
  options_.steps = 51;
  options_.annealing_steps = 100;
  ASSERT_TRUE(Fit().ok());
  EXPECT_NEAR(session_.x_bars[0], -(0.01 + 0.99 * 0.5) * 3.0 / 4, 1e-6);
  EXPECT_EQ(session_.log_q_bars[0], 0.25);
}

TEST_F(ReverseKlTest, CutsTheSteepest) {
  options_.steps = 2;
  target_.slope = std::numeric_limits<float>::max();
  ASSERT_TRUE(Fit().ok());
  EXPECT_FLOAT_EQ(session_.x_bars[0], -ReverseKlOptions::kSteepest / 4);
}

TEST_F(ReverseKlTest, NoRowIsDrawnTwiceAndTheAverageIsKept) {
  options_.ema_decay = 0.9;
  options_.gradient_clip_norm = 0.5;
  const auto result = Fit();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->steps, 250);
  EXPECT_EQ(result->stop_reason, StopReason::kMaxSteps);
  EXPECT_EQ(result->parameters[0], -250.0f);
  for (std::size_t i = 0; i < session_.first_rows.size(); ++i)
    ASSERT_EQ(session_.first_rows[i], 4 * i);
  EXPECT_EQ(session_.steps[0].gradient_scale, 0.5);
  EXPECT_EQ(session_.steps[0].ema_decay, 0.9);
}

TEST_F(ReverseKlTest, StepsBackFromADivergenceWithHalfTheRate) {
  // In the second round, once by its gradient and once by its samples.
  session_.norm = [](int call) { return call == 151 ? double{kNan} : 1.0; };
  session_.sample = [](float row) { return row == 4 * 160.0f ? kNan : row; };
  const auto result = Fit();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->divergences, 2);
  EXPECT_EQ(result->steps, 250);
  EXPECT_EQ(result->parameters[0], 250.0f);
  EXPECT_EQ(session_.steps[149].learning_rate, 0.1);
  EXPECT_EQ(session_.steps[150].learning_rate, 0.05);
  EXPECT_EQ(session_.steps.back().learning_rate, 0.025);
}

TEST_F(ReverseKlTest, GivesUpAfterManyDivergences) {
  session_.norm = [](int) { return double{kNan}; };
  const absl::Status status = Fit().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("diverged 11 times"));
  EXPECT_TRUE(session_.steps.empty());
}

}  // namespace
}  // namespace millrace
