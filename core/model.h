// SPDX-License-Identifier: Apache-2.0
// What is trained, saved and served. Plain values: core/train and core/score compute them, core/io
// writes and reads them.
#ifndef MILLRACE_CORE_MODEL_H_
#define MILLRACE_CORE_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/data/column_model.h"
#include "core/data/context_model.h"
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

enum class StopReason { kUnspecified, kEarlyStopping, kMaxEpochs, kMaxDuration, kMaxSteps };

// Mean log-density over a set of rows, nats a row, with its standard error.
struct Nats {
  std::int64_t rows = 0;
  double mean = 0.0;
  double standard_error = 0.0;
  friend bool operator==(const Nats&, const Nats&) = default;
};

// How near a model q that was fitted to a density p is to it: from the importance weights
// w = p(x) / q(x) of fresh samples x of q.
struct DensityFit {
  std::int64_t samples = 0;
  // ln of the mean of w, which estimates ln of p's integral, in the user's units; and its standard
  // error. Both are too small where q misses a part of p.
  double log_normaliser = 0.0;
  double log_normaliser_error = 0.0;
  // (sum w)^2 / (n sum w^2), in [0, 1]; 1 where q is p.
  double effective_sample_fraction = 0.0;
  // Nats: the mean of ln q(x) - ln p(x) where p > 0, p being brought to the integral 1; and its
  // standard error.
  double divergence = 0.0;
  double divergence_error = 0.0;
  double outside_fraction = 0.0;  // of the samples, where p is 0
  friend bool operator==(const DensityFit&, const DensityFit&) = default;
};

// Of a model that was fitted to a density there are no rows: `held_out` is of its own samples,
// which calibrate it, and the other figures are of no rows.
struct TrainingReport {
  // In standardised units; the user's units are log_unit less (ColumnModel::log_unit).
  Nats fit;         // rows the weights were fitted to, or enough of them
  Nats validation;  // rows that decided when to stop; after a fallback, of the Gaussian of
                    // the fitted rows alone
  Nats held_out;    // calibration rows
  // A full-covariance Gaussian, by maximum likelihood, of the fitted and the validation rows, on
  // the calibration rows. It is of the features alone: conditions do not move it. None of images.
  Nats gaussian_held_out;
  std::int64_t fit_rows = 0;  // rows the weights were fitted to
  double log_unit = 0.0;
  std::int64_t epochs = 0;  // completed
  std::int64_t steps = 0;
  double seconds = 0.0;
  std::int64_t best_epoch = 0;  // whose weights were kept; 0: the untrained flow's
  int divergences = 0;          // times a step was taken back
  StopReason stop_reason = StopReason::kUnspecified;
  bool gaussian_fallback =
      false;  // the flow was not better than the Gaussian and was replaced by it
  std::optional<DensityFit> density_fit = std::nullopt;  // of models fitted to a density
  std::vector<std::string> warnings;                     // for people
  friend bool operator==(const TrainingReport&, const TrainingReport&) = default;
};

// A direction in latent space that an attribute of rows has: the mean latent point of rows with it
// less that of rows without (Kingma, Dhariwal 2018, section 5).
struct AttributeVector {
  static constexpr int kMaxNameBytes = 64;
  static constexpr int kMaxOfModel = 64;

  std::string name = {};            // 1 to kMaxNameBytes bytes of UTF-8; no other of the model's
  std::vector<double> vector = {};  // [columns.dim()], finite
  std::int64_t rows_with = 0;       // that the means are of
  std::int64_t rows_without = 0;
  friend bool operator==(const AttributeVector&, const AttributeVector&) = default;
};

struct Model {
  FlowSpec spec;  // dim and context_dim are those of columns and context
  ColumnModel columns;
  ContextModel context;        // conditions of the density p(x | c); none: p(x)
  ParameterValues parameters;  // as the flow's layout says
  Calibration calibration;
  TrainingReport report;
  std::vector<AttributeVector> attributes;  // at most AttributeVector::kMaxOfModel
  std::int64_t create_time_unix_micros = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MODEL_H_
