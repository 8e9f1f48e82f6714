// SPDX-License-Identifier: Apache-2.0
// Fitting a flow q to a density p that can be evaluated, by the reverse Kullback-Leibler divergence
//   KL(q || p) = E_q[ln q(x) - ln p(x)]
// with Adam, on samples of q that no step sees twice: the loop, without knowledge of columns or
// files. Gradients are those of the samples' paths (Flow::SampleBackward).
#ifndef MILLRACE_CORE_TRAIN_REVERSE_KL_H_
#define MILLRACE_CORE_TRAIN_REVERSE_KL_H_

#include <cstdint>
#include <span>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/rows.h"
#include "core/flow/backend.h"
#include "core/model.h"
#include "core/train/train_model.h"

namespace millrace {

// A density of what a flow sees: standardised floats.
class FlowTarget {
 public:
  virtual ~FlowTarget() = default;
  // ln p, up to a constant, of rows x [n, dim], all finite, and its derivative, [n, dim]. -infinity
  // is a value, and has the derivative 0; all else is finite, or the Status says where it is not.
  virtual absl::Status Evaluate(RowsView<const float> x, std::span<double> log_density,
                                RowsView<float> gradient) = 0;
};

// Every choice made.
struct ReverseKlOptions {
  int batch_size = 512;
  std::int64_t steps = 5000;
  absl::Duration max_duration = absl::InfiniteDuration();
  double learning_rate = 2e-3;
  LearningRateSchedule schedule = LearningRateSchedule::kCosine;
  std::int64_t warmup_steps = 0;
  double ema_decay = 0.0;
  double gradient_clip_norm = 0.0;
  // Over the first steps p is raised to a power that grows from 0.01 to 1, so that q spreads over
  // all modes before it settles (Rezende, Mohamed 2015, equation 20).
  std::int64_t annealing_steps = 0;
  std::uint64_t seed = 0;

  // A point's derivative of ln p is cut to this, so that points where p falls off like an
  // exponential's exponential lead back to it instead of overflowing.
  static constexpr float kSteepest = 1e5f;
  static constexpr std::int64_t kStepsPerRound = 100;
  // Divergences that are stepped back from; one more ends the run.
  static constexpr int kMaxDivergences = 10;
};

struct ReverseKlResult {
  ParameterValues parameters;  // their moving average where ema_decay > 0
  std::int64_t steps = 0;
  double seconds = 0.0;
  int divergences = 0;
  StopReason stop_reason = StopReason::kUnspecified;
};

// Goes on from what `session` was started with. `progress` (may be empty) is called after every
// round of steps, which counts as an epoch; its nats are the mean of ln p(x) - ln q(x) over the
// round, a lower bound of ln of p's integral once annealing is over.
//
// Rows where p is 0 move nothing: they are left out of the gradient. FAILED_PRECONDITION where p is
// 0 in all rows of a step, and after kMaxDivergences of samples or gradients that are not finite;
// CANCELLED within a step of `stop`; or what the target returned.
absl::StatusOr<ReverseKlResult> FitByReverseKl(TrainSession& session, int dim, FlowTarget& target,
                                               const ReverseKlOptions& options,
                                               const ProgressCallback& progress,
                                               std::stop_token stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_REVERSE_KL_H_
