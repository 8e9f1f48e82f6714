// SPDX-License-Identifier: Apache-2.0
// What is trained, saved and served. Plain values: core/train and core/score compute them, core/io
// writes and reads them.
#ifndef MILLRACE_CORE_MODEL_H_
#define MILLRACE_CORE_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/column_model.h"
#include "core/exec/parameters.h"
#include "core/flow/flow_spec.h"

namespace millrace {

// Log-densities (nats, the user's units, ascending) of rows used neither for fitting nor for early
// stopping: the reference of tail probabilities and thresholds.
struct Calibration {
  std::vector<double> log_probs;
  double false_positive_rate = 0.01;  // of decisions that name no rate, in (0, 1)

  friend bool operator==(const Calibration&, const Calibration&) = default;
};

enum class StopReason { kUnspecified, kEarlyStopping, kMaxEpochs, kMaxDuration };

// Mean log-density over a set of rows, nats a row, with its standard error.
struct Nats {
  std::int64_t rows = 0;
  double mean = 0.0;
  double standard_error = 0.0;
  friend bool operator==(const Nats&, const Nats&) = default;
};

struct TrainingReport {
  // In standardised units; the user's units are log_unit less (ColumnModel::log_unit).
  Nats fit;         // rows the weights were fitted to
  Nats validation;  // rows that decided when to stop; after a fallback, of the Gaussian of
                    // the fitted rows alone
  Nats held_out;    // calibration rows
  // A full-covariance Gaussian, by maximum likelihood, of the fitted and the validation rows, on
  // the calibration rows.
  Nats gaussian_held_out;
  double log_unit = 0.0;
  std::int64_t epochs = 0;  // completed
  std::int64_t steps = 0;
  double seconds = 0.0;
  std::int64_t best_epoch = 0;  // whose weights were kept; 0: the untrained flow's
  int divergences = 0;          // times a step was taken back
  StopReason stop_reason = StopReason::kUnspecified;
  bool gaussian_fallback =
      false;  // the flow was not better than the Gaussian and was replaced by it
  std::vector<std::string> warnings;  // for people
  friend bool operator==(const TrainingReport&, const TrainingReport&) = default;
};

struct Model {
  FlowSpec spec;
  ColumnModel columns;
  ParameterValues parameters;  // as the flow's layout says
  Calibration calibration;
  TrainingReport report;
  std::int64_t create_time_unix_micros = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MODEL_H_
