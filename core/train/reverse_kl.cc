// SPDX-License-Identifier: Apache-2.0
#include "core/train/reverse_kl.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/train/fit.h"

namespace millrace {
namespace {

constexpr double kColdest = 0.01;  // power of p at the start of annealing

class Run {
 public:
  Run(TrainSession& session, int dim, FlowTarget& target, const ReverseKlOptions& options,
      std::stop_token stop)
      : session_(session),
        target_(target),
        options_(options),
        rate_{.learning_rate = options.learning_rate,
              .schedule = options.schedule,
              .warmup_steps = options.warmup_steps},
        stop_(std::move(stop)),
        x_(options.batch_size, dim),
        gradient_(options.batch_size, dim),
        log_q_(static_cast<std::size_t>(options.batch_size)),
        log_p_(log_q_.size()) {}

  absl::StatusOr<ReverseKlResult> Loop(const ProgressCallback& progress) {
    TrainState good = session_.Save();
    while (!Ended()) {
      MILLRACE_ASSIGN_OR_RETURN(const double mean, Round());
      if (!std::isfinite(mean)) {
        MILLRACE_RETURN_IF_ERROR(StepBack(good));
        continue;
      }
      good = session_.Save();
      if (progress) Report(progress, mean);
    }
    result_.parameters = std::move(options_.ema_decay > 0.0 ? good.ema : good.parameters);
    result_.steps = step_;
    result_.seconds = Seconds();
    return std::move(result_);
  }

 private:
  double Seconds() const {
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started_;
    return taken.count();
  }
  bool TimeIsUp() const {
    return options_.max_duration != absl::InfiniteDuration() &&
           Seconds() >= absl::ToDoubleSeconds(options_.max_duration);
  }
  // How much of the run is over, by steps or by the clock, whichever says more.
  double Fraction() const {
    const double by_steps = static_cast<double>(step_) / static_cast<double>(options_.steps);
    if (options_.max_duration == absl::InfiniteDuration()) return by_steps;
    return std::max(by_steps, Seconds() / absl::ToDoubleSeconds(options_.max_duration));
  }

  bool Ended() {
    // At least one step, so that there is an average to keep.
    if (step_ > 0 && TimeIsUp()) {
      result_.stop_reason = StopReason::kMaxDuration;
    } else if (step_ >= options_.steps) {
      result_.stop_reason = StopReason::kMaxSteps;
    } else {
      return false;
    }
    return true;
  }

  // Steps until the round or the run is over; the mean of ln p - ln q, NaN when it diverged.
  absl::StatusOr<double> Round() {
    constexpr double kDiverged = std::numeric_limits<double>::quiet_NaN();
    const std::int64_t end =
        std::min(options_.steps,
                 (step_ / ReverseKlOptions::kStepsPerRound + 1) * ReverseKlOptions::kStepsPerRound);
    double sum = 0.0;
    std::int64_t inside = 0;
    for (bool first = true; step_ < end && (first || !TimeIsUp()); first = false) {
      if (stop_.stop_requested()) return absl::CancelledError("training was cancelled");
      session_.SampleBatch(options_.seed, drawn_, {}, x_.view(), log_q_);
      const std::uint64_t row = std::exchange(drawn_, drawn_ + log_q_.size());
      if (!SamplesAreFinite()) return kDiverged;
      MILLRACE_RETURN_IF_ERROR(target_.Evaluate(x_.view(), log_p_, gradient_.view()));
      MILLRACE_ASSIGN_OR_RETURN(const std::int64_t rows, ToLossGradient(sum));
      inside += rows;
      const double norm =
          session_.ComputeSampleGradient(options_.seed, row, {}, gradient_.view(), log_q_);
      if (!std::isfinite(norm)) return kDiverged;
      session_.Step({.learning_rate = rate_scale_ * LearningRate(rate_, step_, Fraction()),
                     .gradient_scale =
                         options_.gradient_clip_norm > 0.0
                             ? std::min(1.0, options_.gradient_clip_norm / std::max(norm, 1e-12))
                             : 1.0,
                     .ema_decay = options_.ema_decay});
      ++step_;
    }
    return sum / static_cast<double>(inside);
  }

  bool SamplesAreFinite() const {
    const auto finite = [](auto v) { return std::isfinite(v); };
    return std::all_of(x_.data(), x_.data() + x_.rows() * x_.cols(), finite) &&
           std::ranges::all_of(log_q_, finite);
  }

  // gradient_ and log_q_ become the loss's derivatives with respect to the samples and to ln q;
  // adds ln p - ln q to `sum`. Returns how many rows lie where p is above 0.
  absl::StatusOr<std::int64_t> ToLossGradient(double& sum) {
    const std::int64_t inside =
        std::ranges::count_if(log_p_, [](double v) { return std::isfinite(v); });
    if (inside == 0)
      return absl::FailedPreconditionError(absl::StrCat(
          "the density is 0 at all ", x_.rows(), " points of step ", step_ + 1,
          "; give columns a location and a scale that put most points where it is not"));
    const double share = 1.0 / static_cast<double>(inside);
    for (std::int64_t r = 0; r < x_.rows(); ++r) {
      const bool counts = std::isfinite(log_p_[r]);
      if (counts) sum += log_p_[r] - log_q_[r];
      log_q_[r] = counts ? share : 0.0;
      const std::span<float> row = gradient_.view().row(r);
      float largest = ReverseKlOptions::kSteepest;
      for (const float v : row) largest = std::max(largest, std::abs(v));
      const double slope = -Power() * share * ReverseKlOptions::kSteepest / largest;
      for (float& v : row) v = counts ? static_cast<float>(slope * v) : 0.0f;
    }
    return inside;
  }

  double Power() const {
    if (step_ >= options_.annealing_steps) return 1.0;
    return kColdest + (1.0 - kColdest) * static_cast<double>(step_) /
                          static_cast<double>(options_.annealing_steps);
  }

  // Back to the end of the last good round, with half the rate.
  absl::Status StepBack(const TrainState& good) {
    if (++result_.divergences > ReverseKlOptions::kMaxDivergences)
      return absl::FailedPreconditionError(
          absl::StrCat("the fit diverged ", result_.divergences,
                       " times although the learning rate was halved to ",
                       rate_scale_ * options_.learning_rate, " by step ", step_ + 1,
                       "; lower learning_rate, or look for steep places of the density"));
    rate_scale_ *= 0.5;
    session_.Restore(good);
    step_ = good.steps;
    return absl::OkStatus();
  }

  void Report(const ProgressCallback& progress, double mean) {
    best_ = std::max(best_, mean);
    const double seconds = Seconds(), over = Fraction();
    progress(
        {.epoch = (step_ + ReverseKlOptions::kStepsPerRound - 1) / ReverseKlOptions::kStepsPerRound,
         .step = step_,
         .train_nats = mean,
         .validation_nats = mean,
         .best_validation_nats = best_,
         .rows_per_second =
             static_cast<double>(step_ * options_.batch_size) / std::max(1e-9, seconds),
         .elapsed = absl::Seconds(seconds),
         .eta = absl::Seconds(seconds * std::max(0.0, 1.0 - over) / std::max(1e-9, over))});
  }

  TrainSession& session_;
  FlowTarget& target_;
  const ReverseKlOptions& options_;
  const FitOptions rate_;
  std::stop_token stop_;
  Rows<float> x_, gradient_;  // of one step
  std::vector<double> log_q_, log_p_;
  std::uint64_t drawn_ = 0;  // rows of the sequence of samples
  std::int64_t step_ = 0;
  double rate_scale_ = 1.0;  // halved at every divergence
  double best_ = -std::numeric_limits<double>::infinity();
  ReverseKlResult result_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace

absl::StatusOr<ReverseKlResult> FitByReverseKl(TrainSession& session, int dim, FlowTarget& target,
                                               const ReverseKlOptions& options,
                                               const ProgressCallback& progress,
                                               std::stop_token stop) {
  return Run(session, dim, target, options, std::move(stop)).Loop(progress);
}

}  // namespace millrace
