// SPDX-License-Identifier: Apache-2.0
// From a user's rows to a model: columns, split, default architecture, training, calibration,
// report.
#ifndef MILLRACE_CORE_TRAIN_TRAIN_MODEL_H_
#define MILLRACE_CORE_TRAIN_TRAIN_MODEL_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/rows.h"
#include "core/flow/backend.h"
#include "core/model.h"
#include "core/train/flow_choice.h"

namespace millrace {

enum class LearningRateSchedule { kCosine, kConstant };

// How to train. Unset fields are chosen from the number of rows and columns and reported in the
// model's spec and report. Validate names the field, its value and its range.
struct TrainOptions {
  std::optional<int> batch_size;               // [1, 65536]
  std::optional<int> max_epochs;               // [1, 1000000]
  std::optional<absl::Duration> max_duration;  // > 0, of fitting; the cosine schedule ends with
                                               // whichever comes first
  std::optional<double> learning_rate;         // (0, 1]
  LearningRateSchedule schedule = LearningRateSchedule::kCosine;
  std::optional<int> warmup_steps;           // [0, 1000000]
  std::optional<double> weight_decay;        // [0, 1]
  std::optional<double> ema_decay;           // [0, 1); 0: off
  std::optional<double> gradient_clip_norm;  // >= 0, finite; 0: off
  std::optional<int> patience;               // epochs without improvement, [1, 1000000]
  // Of the rows, (0, 0.5] each, at least one row; by default kHeldOutShare, but of images no more
  // than kEnoughHeldOutImages.
  std::optional<double> validation_fraction, calibration_fraction;
  std::optional<double> false_positive_rate;  // stored with the model, (0, 1); default 0.01, or
                                              // 1 / (calibration rows + 1) where that is more
  std::uint64_t seed = 0;                     // of the split, shuffles, noise and initial weights

  static constexpr double kHeldOutShare = 0.1;
  // What is held out is scored once the weights are fitted, each row at ColumnModel::num_offsets()
  // places of its bins, as calibration wants it: the tail probabilities of these rows and of others
  // are equally distributed only where both are scored alike. Of a false-positive rate of 0.01, a
  // threshold from 2000 rows has a standard error of 0.002.
  static constexpr std::int64_t kEnoughHeldOutImages = 2000;
};

struct TrainProgress {
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

  std::int64_t epoch = 0;  // completed
  std::int64_t step = 0;
  double train_nats = kUnknown;  // mean log-density over the epoch, standardised units, of rows
                                 // with noise in their bins
  double validation_nats = kUnknown;
  double best_validation_nats = kUnknown;
  double rows_per_second = 0.0;  // of the epoch so far; of a fit to a density, of all of it
  absl::Duration elapsed;
  // Until the schedule ends; early stopping may come first. Infinite: not known yet.
  absl::Duration eta = absl::InfiniteDuration();
};

// Called on the training thread after every epoch, and about once a second in long ones of rows,
// with the figures of the last whole epoch of this run, NaN before; must return soon.
using ProgressCallback = std::function<void(const TrainProgress&)>;

// Where to keep checkpoints and whether to go on from one.
struct CheckpointOptions {
  std::string path;  // empty: none
  absl::Duration interval = absl::Minutes(1);
};

struct TrainRequest {
  std::vector<ColumnSpec> columns;  // one a column of the rows; empty: x0, x1, ..., all found
  FlowChoice flow;
  TrainOptions options;
  CheckpointOptions checkpoint;
  std::int64_t max_parameters = Flow::kMaxParameters;  // of the flow, padding included
};

// INVALID_ARGUMENT for options or spec out of range, fewer than kMinRows rows, non-finite values
// (row, column, value); RESOURCE_EXHAUSTED where rows times numbers of a context, one for each
// category of a label, exceed 2^28, and for more than max_parameters, about; FAILED_PRECONDITION
// when training diverged again and again; CANCELLED when stopped. Blocks for as long as training
// takes. Deterministic but for max_duration.
absl::StatusOr<Model> TrainModel(const TrainRequest& request, RowsView<const double> rows,
                                 Backend& backend, const ProgressCallback& progress,
                                 std::stop_token stop);

inline constexpr std::int64_t kMinRows = 8;

absl::Status Validate(const TrainOptions& options);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_TRAIN_MODEL_H_
