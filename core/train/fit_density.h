// SPDX-License-Identifier: Apache-2.0
// From a density that can be evaluated to a model of it, without any rows.
#ifndef MILLRACE_CORE_TRAIN_FIT_DENSITY_H_
#define MILLRACE_CORE_TRAIN_FIT_DENSITY_H_

#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/rows.h"
#include "core/flow/backend.h"
#include "core/model.h"
#include "core/train/flow_choice.h"
#include "core/train/train_model.h"

namespace millrace {

// A density p in the user's units, up to a constant factor.
class TargetDensity {
 public:
  virtual ~TargetDensity() = default;
  // ln p of each row [n, columns], all finite, in nats, and its derivatives, [n, columns].
  // -infinity says that p is 0 there; the derivative is then ignored. Called on one thread at a
  // time; a Status ends the fit.
  virtual absl::Status Evaluate(RowsView<const double> x, std::span<double> log_density,
                                RowsView<double> gradient) = 0;
};

// A column, and where the fit begins: the untrained flow is about a normal distribution of this
// location and scale.
struct DensityColumn {
  std::string name = {};  // unique, not empty
  double location = 0.0;
  double scale = 1.0;  // > 0
};

// How to fit. Unset fields have defaults. Validate names the field, its value and its range.
struct FitDensityOptions {
  std::optional<int> batch_size = std::nullopt;  // points a step, [1, 65536]
  std::optional<int> steps = std::nullopt;       // [1, 10000000]
  std::optional<absl::Duration> max_duration =
      std::nullopt;  // > 0; the schedule ends with whichever comes first
  std::optional<double> learning_rate = std::nullopt;  // (0, 1]
  LearningRateSchedule schedule = LearningRateSchedule::kCosine;
  std::optional<int> warmup_steps = std::nullopt;           // [0, 1000000]
  std::optional<int> annealing_steps = std::nullopt;        // [0, 10000000]: ReverseKlOptions
  std::optional<double> ema_decay = std::nullopt;           // [0, 1); 0: off
  std::optional<double> gradient_clip_norm = std::nullopt;  // >= 0, finite; 0: off
  std::optional<int> samples = std::nullopt;  // of the final comparison, [100, 1000000]
  std::optional<double> false_positive_rate =
      std::nullopt;        // stored with the model, (0, 1); default 0.01, or
                           // 1 / (samples + 1) where that is more
  std::uint64_t seed = 0;  // of the samples and the initial weights
};

absl::Status Validate(const FitDensityOptions& options);

struct FitDensityRequest {
  std::vector<DensityColumn> columns = {};  // at least one
  FlowChoice flow = {};
  FitDensityOptions options = {};
};

// Fits a flow by reverse KL (core/train/reverse_kl.h, which says what progress means) and compares
// it with the target: TrainingReport::density_fit. The model is calibrated by its own samples: its
// tail probabilities say how a row stands among rows of the model, not of the target.
//
// A flow that the caller does not choose is a coupling flow with splines; of one column, an
// autoregressive one; of images Glow.
//
// INVALID_ARGUMENT for columns, options or flow out of range, and naming row and value where the
// target is NaN, +infinity, or has a derivative that is not finite; UNIMPLEMENTED for a base that
// CheckSampleGradient refuses; RESOURCE_EXHAUSTED when batch_size times columns exceeds 2^25, or
// samples times columns 2^28; FAILED_PRECONDITION as FitByReverseKl, and when samples of the fitted
// model are not finite or the target's values there are too far apart for figures; CANCELLED when
// stopped; or what the target returned. Blocks for as long as it takes. Deterministic but for
// max_duration.
absl::StatusOr<Model> FitDensity(const FitDensityRequest& request, TargetDensity& target,
                                 Backend& backend, const ProgressCallback& progress,
                                 std::stop_token stop);

// INVALID_ARGUMENT naming the column and field that is out of range.
absl::Status CheckColumns(std::span<const DensityColumn> columns);

// The flow of FitDensity for `dim` columns. Errors as above.
absl::StatusOr<FlowSpec> ChooseDensityFlow(const FlowChoice& choice, int dim, std::uint64_t seed);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_FIT_DENSITY_H_
