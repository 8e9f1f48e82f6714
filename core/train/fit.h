// SPDX-License-Identifier: Apache-2.0
// Maximum likelihood by Adam on minibatches: the loop, without knowledge of columns or files.
#ifndef MILLRACE_CORE_TRAIN_FIT_H_
#define MILLRACE_CORE_TRAIN_FIT_H_

#include <cstdint>
#include <functional>
#include <stop_token>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/conditioned_rows.h"
#include "core/base/rows.h"
#include "core/flow/backend.h"
#include "core/model.h"
#include "core/train/train_model.h"

namespace millrace {

// Every choice made.
struct FitOptions {
  int batch_size = 256;
  std::int64_t max_epochs = 100;
  absl::Duration max_duration = absl::InfiniteDuration();
  double learning_rate = 1e-3;
  LearningRateSchedule schedule = LearningRateSchedule::kCosine;
  std::int64_t warmup_steps = 0;
  double weight_decay = 0.0;
  double ema_decay = 0.0;
  double gradient_clip_norm = 5.0;
  double log_scale_penalty = 0.0;  // TrainSession::set_log_scale_penalty
  std::int64_t patience = 30;      // epochs
  std::uint64_t seed = 0;          // of the shuffles

  // Divergences that are stepped back from; one more ends the run.
  static constexpr int kMaxDivergences = 10;
};

// Where a run stands after an epoch: enough to go on bit for bit.
struct FitState {
  TrainState train;      // also what a divergence steps back to
  ParameterValues best;  // parameters of the best validation so far
  double best_validation_nats = 0.0;
  std::int64_t epoch = 0;
  std::int64_t best_epoch = 0;
  double rate_scale = 1.0;  // halved at every divergence
  int divergences = 0;
  double seconds = 0.0;
  StopReason stop_reason = StopReason::kUnspecified;
};

struct FitData {
  std::int64_t rows = 0;
  int dim = 0;
  // Rows [rows, dim] for an epoch; the same view until the next call.
  std::function<RowsView<const float>(std::int64_t epoch)> epoch_rows;
  RowsView<const float> context = {};  // of these rows, in every epoch; no rows without conditions
  ConditionedRows<const float> validation;
};

// Learning rate before step `step` (from 0), `fraction` of the run being over.
double LearningRate(const FitOptions& options, std::int64_t step, double fraction);

// Goes on from `state`, with which `session` was started, until an end is reached and leaves the
// best parameters in state.best: those after the epoch of the best validation (their moving average
// where ema_decay > 0), or those it began with. An epoch is cut short when max_duration is over, so
// that it is kept to about one step and one validation. `progress` (may be empty), in nats of the
// flow's own inputs, is called about once a second and at every epoch's end, `after_epoch` (may be
// empty) then only.
// FAILED_PRECONDITION after kMaxDivergences, CANCELLED within a step of `stop`, or what
// `after_epoch` returned.
absl::Status Fit(TrainSession& session, const FitData& data, const FitOptions& options,
                 const ProgressCallback& progress,
                 const std::function<absl::Status(const FitState&)>& after_epoch,
                 std::stop_token stop, FitState& state);

// Mean log-density under the session's parameters.
absl::StatusOr<double> MeanLogProb(TrainSession& session, ConditionedRows<const float> data,
                                   bool use_ema, std::stop_token stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_FIT_H_
