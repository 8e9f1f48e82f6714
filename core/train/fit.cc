// SPDX-License-Identifier: Apache-2.0
#include "core/train/fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

constexpr double kFloorOfCosine = 0.01;  // of the peak learning rate
constexpr double kSecondsUntold = 1.0;   // of an epoch, between two words of progress

// Copies the chosen rows to the front of `into`; nothing where there are none to choose from.
RowsView<const float> Gather(RowsView<const float> rows, std::span<const std::int64_t> chosen,
                             Rows<float>& into) {
  if (rows.rows == 0) return {};
  const auto count = static_cast<std::int64_t>(chosen.size());
  for (std::int64_t r = 0; r < count; ++r)
    std::copy_n(rows.data + chosen[r] * rows.cols, rows.cols, into.data() + r * rows.cols);
  return into.view().Slice(0, count);
}

// One run of Fit: what its steps share.
class Run {
 public:
  Run(TrainSession& session, const FitData& data, const FitOptions& options,
      const ProgressCallback& progress, std::stop_token stop, FitState& state)
      : session_(session),
        data_(data),
        options_(options),
        progress_(progress),
        stop_(std::move(stop)),
        state_(state),
        batch_(std::min<std::int64_t>(options.batch_size, data.rows), data.dim),
        context_(data.context.rows == 0 ? 0 : batch_.rows(), data.context.cols) {
    steps_per_epoch_ = (data.rows + batch_.rows() - 1) / batch_.rows();
  }

  absl::Status Loop(const std::function<absl::Status(const FitState&)>& after_epoch) {
    before_ = state_.seconds;
    session_.set_log_scale_penalty(options_.log_scale_penalty);
    state_.train = session_.Save();
    if (state_.epoch == 0) {
      MILLRACE_RETURN_IF_ERROR(ScoreStart());
    } else {
      told_.best_validation_nats = state_.best_validation_nats;
    }
    while (!Ended()) {
      epoch_start_ = told_at_ = Seconds();
      absl::StatusOr<double> train_nats = Epoch();
      if (!train_nats.ok()) return train_nats.status();
      const bool finite = std::isfinite(*train_nats);
      double validation = std::numeric_limits<double>::quiet_NaN();
      if (finite) {
        MILLRACE_ASSIGN_OR_RETURN(
            validation, MeanLogProb(session_, data_.validation, options_.ema_decay > 0.0, stop_));
      }
      if (!std::isfinite(validation)) {
        MILLRACE_RETURN_IF_ERROR(StepBack());
        continue;
      }
      ++state_.epoch;
      state_.train = session_.Save();
      if (validation > state_.best_validation_nats) KeepBest(validation);
      state_.seconds = Seconds();
      told_.train_nats = *train_nats;
      told_.validation_nats = validation;
      told_.best_validation_nats = state_.best_validation_nats;
      Report(0);
      if (after_epoch) MILLRACE_RETURN_IF_ERROR(after_epoch(state_));
    }
    return absl::OkStatus();
  }

 private:
  // The untrained flow is the first candidate.
  absl::Status ScoreStart() {
    MILLRACE_ASSIGN_OR_RETURN(const double validation,
                              MeanLogProb(session_, data_.validation, false, stop_));
    state_.best = state_.train.parameters;
    state_.best_validation_nats =
        std::isfinite(validation) ? validation : -std::numeric_limits<double>::infinity();
    return absl::OkStatus();
  }

  // Of the whole run, earlier sittings included.
  double Seconds() const {
    const std::chrono::duration<double> sitting = std::chrono::steady_clock::now() - started_;
    return before_ + sitting.count();
  }
  bool TimeIsUp() const {
    return options_.max_duration != absl::InfiniteDuration() &&
           Seconds() >= absl::ToDoubleSeconds(options_.max_duration);
  }

  // How much of the run is over, by steps or by the clock, whichever says more.
  double Fraction(std::int64_t step) const {
    const double by_steps =
        static_cast<double>(step) / static_cast<double>(options_.max_epochs * steps_per_epoch_);
    if (options_.max_duration == absl::InfiniteDuration()) return by_steps;
    return std::max(by_steps, Seconds() / absl::ToDoubleSeconds(options_.max_duration));
  }

  bool Ended() {
    if (state_.epoch >= options_.max_epochs) {
      state_.stop_reason = StopReason::kMaxEpochs;
    } else if (TimeIsUp()) {
      state_.stop_reason = StopReason::kMaxDuration;
    } else if (state_.epoch - state_.best_epoch >= options_.patience) {
      state_.stop_reason = StopReason::kEarlyStopping;
    } else {
      return false;
    }
    return true;
  }

  // One pass over the rows, or as much of it as there is time for; the mean log-density seen on the
  // way, NaN when it diverged.
  absl::StatusOr<double> Epoch() {
    const RowsView<const float> rows = data_.epoch_rows(state_.epoch);
    std::vector<std::int64_t> order(static_cast<std::size_t>(data_.rows));
    std::iota(order.begin(), order.end(), 0);
    Shuffle(order, order.size(), options_.seed, static_cast<std::uint32_t>(state_.epoch + 1));
    double sum = 0.0;
    std::int64_t seen = 0;
    for (std::int64_t s = 0; s < steps_per_epoch_ && (s == 0 || !TimeIsUp()); ++s) {
      if (stop_.stop_requested()) return absl::CancelledError("training was cancelled");
      const std::int64_t first = s * batch_.rows();
      const std::int64_t count = std::min(batch_.rows(), data_.rows - first);
      const std::span<const std::int64_t> chosen(order.data() + first,
                                                 static_cast<std::size_t>(count));
      const auto gradient = session_.ComputeGradient(Gather(rows, chosen, batch_),
                                                     Gather(data_.context, chosen, context_));
      if (!std::isfinite(gradient.loss) || !std::isfinite(gradient.gradient_norm))
        return std::numeric_limits<double>::quiet_NaN();
      sum -= gradient.loss * static_cast<double>(count);
      seen += count;
      const std::int64_t step = state_.epoch * steps_per_epoch_ + s;
      // The last, shorter batch counts by its rows.
      const double weight = static_cast<double>(count) / static_cast<double>(batch_.rows());
      session_.Step(
          {.learning_rate =
               weight * state_.rate_scale * LearningRate(options_, step, Fraction(step)),
           .weight_decay = options_.weight_decay,
           .gradient_scale = options_.gradient_clip_norm > 0.0
                                 ? std::min(1.0, options_.gradient_clip_norm /
                                                     std::max(gradient.gradient_norm, 1e-12))
                                 : 1.0,
           .ema_decay = options_.ema_decay,
           .statistics_rate = weight * AdamStep().statistics_rate});
      rows_seen_ = seen;
      if (Seconds() - told_at_ > kSecondsUntold) Report(s + 1);
    }
    return sum / static_cast<double>(seen);
  }

  // Back to the end of the last good epoch, with half the rate.
  absl::Status StepBack() {
    if (++state_.divergences > FitOptions::kMaxDivergences)
      return absl::FailedPreconditionError(
          absl::StrCat("training diverged ", state_.divergences,
                       " times although the learning rate was halved to ",
                       state_.rate_scale * options_.learning_rate, " in epoch ", state_.epoch + 1,
                       "; lower learning_rate or check the table for extreme values"));
    state_.rate_scale *= 0.5;
    session_.Restore(state_.train);
    return absl::OkStatus();
  }

  void KeepBest(double validation) {
    state_.best = options_.ema_decay > 0.0 ? state_.train.ema : state_.train.parameters;
    state_.best_validation_nats = validation;
    state_.best_epoch = state_.epoch;
  }

  // Tells where the run stands after `steps` of an epoch, with the figures of the last whole one.
  void Report(std::int64_t steps) {
    told_at_ = Seconds();
    if (!progress_) return;
    const double over = Fraction(state_.epoch * steps_per_epoch_ + steps);
    told_.epoch = state_.epoch;
    told_.step = state_.train.steps + steps;
    told_.rows_per_second =
        static_cast<double>(rows_seen_) / std::max(1e-9, told_at_ - epoch_start_);
    told_.elapsed = absl::Seconds(told_at_);
    told_.eta = absl::Seconds(told_at_ * std::max(0.0, 1.0 - over) / std::max(1e-9, over));
    progress_(told_);
  }

  TrainSession& session_;
  const FitData& data_;
  const FitOptions& options_;
  const ProgressCallback& progress_;
  std::stop_token stop_;
  FitState& state_;
  Rows<float> batch_;
  Rows<float> context_;  // of batch_
  std::int64_t steps_per_epoch_ = 1;
  std::int64_t rows_seen_ = 0;  // in the epoch
  double epoch_start_ = 0.0;    // of the last epoch; seconds, as told_at_
  double told_at_ = 0.0;        // last time that progress was told, or the epoch began
  TrainProgress told_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  double before_ = 0.0;  // seconds of earlier sittings
};

}  // namespace

double LearningRate(const FitOptions& options, std::int64_t step, double fraction) {
  double rate = options.learning_rate;
  if (step < options.warmup_steps)
    rate *= static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
  if (options.schedule == LearningRateSchedule::kCosine) {
    const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * std::clamp(fraction, 0.0, 1.0)));
    rate *= kFloorOfCosine + (1.0 - kFloorOfCosine) * cosine;
  }
  return rate;
}

absl::StatusOr<double> MeanLogProb(TrainSession& session, ConditionedRows<const float> data,
                                   bool use_ema, std::stop_token stop) {
  std::vector<double> log_prob(static_cast<std::size_t>(data.rows.rows));
  MILLRACE_RETURN_IF_ERROR(
      session.LogProb(data.rows, data.context, use_ema, log_prob, std::move(stop)));
  double sum = 0.0;
  for (double value : log_prob) sum += value;
  return sum / static_cast<double>(data.rows.rows);
}

absl::Status Fit(TrainSession& session, const FitData& data, const FitOptions& options,
                 const ProgressCallback& progress,
                 const std::function<absl::Status(const FitState&)>& after_epoch,
                 std::stop_token stop, FitState& state) {
  return Run(session, data, options, progress, std::move(stop), state).Loop(after_epoch);
}

}  // namespace millrace
