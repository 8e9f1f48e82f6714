// SPDX-License-Identifier: Apache-2.0
// Training that diverges, on a real backend: what it steps back to, and what it leaves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <utility>

#include "core/train/fit.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A real session, but for losses that become NaN when the test says so.
class FailingSession final : public TrainSession {
 public:
  FailingSession(TrainSession& session, std::function<bool(int call)> fails)
      : session_(session), fails_(std::move(fails)) {}

  LossAndGradient ComputeGradient(RowsView<const float> x, RowsView<const float> context) override {
    LossAndGradient result = session_.ComputeGradient(x, context);
    if (fails_(++calls_)) result.loss = kNan;
    return result;
  }
  void SampleBatch(std::uint64_t, std::uint64_t, RowsView<const float>, RowsView<float>,
                   std::span<double>) override {}
  double ComputeSampleGradient(std::uint64_t, std::uint64_t, RowsView<const float>,
                               RowsView<const float>, std::span<const double>) override {
    return 0.0;
  }
  void Step(const AdamStep& step) override { session_.Step(step); }
  absl::Status LogProb(RowsView<const float> x, RowsView<const float> context, bool use_ema,
                       std::span<double> log_prob, std::stop_token stop) override {
    return session_.LogProb(x, context, use_ema, log_prob, std::move(stop));
  }
  TrainState Save() const override { return session_.Save(); }
  void Restore(const TrainState& state) override { session_.Restore(state); }
  std::span<const float> gradient() const override { return session_.gradient(); }

 private:
  TrainSession& session_;
  std::function<bool(int)> fails_;
  int calls_ = 0;
};

class DivergenceTest : public testing::Test {
 protected:
  DivergenceTest()
      : flow_(*Flow::Create(*ChooseFlow({.stack = {.layers = 2}}, 200, 2, 0, 1))), rows_(200, 2) {
    const Rows<double> table = TwoMoons::Table(200, 1);
    std::copy_n(table.data(), 400, rows_.data());
    options_ = {.batch_size = 32, .max_epochs = 4, .learning_rate = 1e-2, .ema_decay = 0.9};
  }

  absl::Status Train(const std::function<bool(int)>& fails, FitState& state) {
    state.train.parameters = flow_->InitialParameters();
    const auto session = *backend_->StartTraining(flow_, state.train);
    FailingSession failing(*session, fails);
    const FitData data{.rows = 160,
                       .dim = 2,
                       .epoch_rows = [&](std::int64_t) { return rows_.view().Slice(0, 160); },
                       .validation = {rows_.view().Slice(160, 40), {}}};
    return Fit(failing, data, options_, {}, {}, {}, state);
  }

  std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 2});
  std::shared_ptr<const Flow> flow_;
  Rows<float> rows_;
  FitOptions options_;
};

TEST_F(DivergenceTest, LeavesNoTraceButHalfTheRate) {
  FitState state, half;
  ASSERT_TRUE(Train([](int call) { return call == 3; }, state).ok());
  EXPECT_EQ(state.divergences, 1);
  options_.learning_rate /= 2;
  ASSERT_TRUE(Train([](int) { return false; }, half).ok());
  EXPECT_TRUE(SameBits<float>(state.best.span(), half.best.span()));
  EXPECT_TRUE(SameBits<float>(state.train.second_moment.span(), half.train.second_moment.span()));
  EXPECT_EQ(state.train.steps, half.train.steps);
}

TEST_F(DivergenceTest, NeverLeavesParametersThatAreNotFinite) {
  FitState state;
  EXPECT_EQ(Train([](int call) { return call > 7; }, state).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(AllFinite(state.best.span()));
  // The largest rate there is, unclipped, and nothing injected: whether the run survives or not.
  options_.learning_rate = 1.0;
  options_.gradient_clip_norm = 0.0;
  options_.max_epochs = 20;
  FitState wild;
  const absl::Status status = Train([](int) { return false; }, wild);
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(AllFinite(wild.best.span()));
  EXPECT_TRUE(AllFinite(wild.train.parameters.span()));
  EXPECT_TRUE(std::isfinite(wild.best_validation_nats));
}

}  // namespace
}  // namespace millrace
