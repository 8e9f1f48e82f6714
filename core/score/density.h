// SPDX-License-Identifier: Apache-2.0
// A trained model on a backend: answers questions about its density in the user's own units.
#ifndef MILLRACE_CORE_SCORE_DENSITY_H_
#define MILLRACE_CORE_SCORE_DENSITY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/number_rows.h"
#include "core/base/rows.h"
#include "core/flow/backend.h"
#include "core/model.h"
#include "core/score/calibration.h"
#include "core/score/completion.h"
#include "core/score/interpolation.h"

namespace millrace {

// Which terms of a score are asked for.
enum class Contributions {
  kNone,
  kConditional,  // log p(x_i | all other columns): quadrature of the joint density, exact to 1e-2
                 // nats; see core/score/attribution.h
  kChain,  // log p(x_i | x_<i): sums to log p; only where the chain is triangular in column order
};

struct LogProbResult {
  std::vector<double> log_prob;  // [n] nats in the user's units; -inf where out of support
                                 // or where single precision overflows; never NaN
  std::vector<std::uint8_t> out_of_support;  // [n]
};

struct ScoreOptions {
  std::optional<double> false_positive_rate = std::nullopt;  // default: the model's own
  Contributions contributions = Contributions::kNone;
};

struct ScoreResult {
  LogProbResult density;
  std::vector<double>
      tail_probability;  // [n] (1 + #{calibration log p <= this}) / (calibration rows + 1);
                         // the smallest, 1 / (calibration rows + 1), out of support
  std::vector<std::uint8_t> is_anomaly;  // [n] tail_probability <= false_positive_rate
  double threshold = 0.0;            // a row in support is an anomaly exactly where log p < this
  double false_positive_rate = 0.0;  // that was used
  Rows<double> contributions;        // [n, columns] nats; 0 for constant columns; NaN where the row
                                     // is out of support; empty unless asked for
};

struct Path {
  Rows<double> rows;             // [steps, columns]
  std::vector<double> log_prob;  // [steps] at those rows
};

struct InterpolationOptions {
  static constexpr int kMaxSteps = 10'000;
  int steps = 10;  // points on the path, both ends included, [2, kMaxSteps]
  // Spherical by default, linear over a uniform base: INVALID_ARGUMENT for spherical there, which
  // may leave the base's interval.
  std::optional<InterpolationKind> kind = std::nullopt;
};

// A question and where its answer goes: what several callers ask is answered in one pass of the
// backend. Rows and context as in Density; all that a job points at outlives the call.
struct LogProbJob {
  NumberRows rows;                              // [n, columns]
  NumberRows context = {};                      // [n, conditions] or [1, conditions]
  std::stop_token stop = {};                    // of this job alone
  std::span<double> log_prob = {};              // [n], written; as in LogProbResult
  std::span<std::uint8_t> out_of_support = {};  // [n], written
};

// Rows [first_row, first_row + rows.rows) of the endless sequence of samples of `seed`.
struct SampleJob {
  std::uint64_t seed = 0;
  std::uint64_t first_row = 0;
  double temperature = 1.0;  // [0, 10]
  NumberRows context = {};   // row i conditions row first_row + i
  std::stop_token stop = {};
  RowsView<double> rows = {};  // [n, columns], written
};

// Of Encode and Decode.
struct MapJob {
  NumberRows from;
  NumberRows context = {};
  std::stop_token stop = {};
  RowsView<double> to = {};  // as many rows, written
};

// Thread-safe. Rows are [n, columns of the model] in the model's column order, n >= 1. Of a
// conditional model `context` is [n, conditions] or [1, conditions], one row for all; of others it
// is left out. Every call is INVALID_ARGUMENT, naming row, column and value, for a wrong width, a
// value that is not finite or a context as ContextModel::Check refuses it - the first such row -
// and CANCELLED when `stop` is requested. Rows and columns are named as they stand in what was
// given. Results are the same bits on any number of threads, whatever rows stand beside a row and
// whatever jobs beside a job. What is written for a job that fails has no meaning.
class Density {
 public:
  // `backend` outlives the result. DATA_LOSS when parameters do not fit the spec, or where a
  // residual block of theirs is not a contraction.
  static absl::StatusOr<std::unique_ptr<const Density>> Create(std::shared_ptr<const Model> model,
                                                               Backend& backend);

  const Model& model() const { return *model_; }
  const Flow& flow() const { return weights_->flow(); }

  // One status a job; each fails alone.
  std::vector<absl::Status> LogProbMany(std::span<const LogProbJob> jobs) const;
  absl::Status LogProb(const LogProbJob& job) const;
  absl::StatusOr<LogProbResult> LogProb(const NumberRows& rows, std::stop_token stop,
                                        const NumberRows& context = {}) const;

  // FAILED_PRECONDITION: a rate below 1 / (calibration rows + 1), or no calibration rows at all.
  // INVALID_ARGUMENT: a rate outside (0, 1); kChain on a model that is not triangular in column
  // order.
  absl::StatusOr<ScoreResult> Score(const NumberRows& rows, const ScoreOptions& options,
                                    std::stop_token stop, const NumberRows& context = {}) const;
  // The parts of it. What a rate, by default the model's own, makes of log-densities; the errors of
  // the rate. This density outlives the result.
  absl::StatusOr<AnomalyRule> RuleOf(std::optional<double> false_positive_rate) const;
  absl::Status CheckContributions(Contributions contributions) const;
  // Of rows whose log_prob LogProb gave, [n, columns]; no rows for kNone.
  absl::StatusOr<Rows<double>> ContributionsOf(const NumberRows& rows,
                                               std::span<const double> log_prob,
                                               Contributions contributions, std::stop_token stop,
                                               const NumberRows& context = {}) const;

  // One status a job; each fails alone. FAILED_PRECONDITION where a sample overflows: it names the
  // first. Heavy tails (StackSpec) make high temperatures reach far: at 10 some values lie 1e9
  // standardised units out.
  std::vector<absl::Status> SampleMany(std::span<const SampleJob> jobs) const;
  absl::Status Sample(const SampleJob& job) const;
  // [count, columns]; the same row whatever the chunk it is drawn in.
  absl::StatusOr<Rows<double>> Sample(std::uint64_t seed, std::uint64_t first_row,
                                      std::int64_t count, double temperature, std::stop_token stop,
                                      const NumberRows& context = {}) const;

  // Latent points [n, dim], discrete columns taken at the centre of their bins. INVALID_ARGUMENT
  // naming the first row out of support: it has no latent point.
  absl::Status Encode(const MapJob& job) const;
  absl::StatusOr<Rows<double>> Encode(const NumberRows& rows, std::stop_token stop,
                                      const NumberRows& context = {}) const;
  // Rows [n, columns] of latent points [n, dim]. INVALID_ARGUMENT naming the first row whose image
  // is not finite in single precision.
  absl::Status Decode(const MapJob& job) const;
  absl::StatusOr<Rows<double>> Decode(const NumberRows& latent, std::stop_token stop,
                                      const NumberRows& context = {}) const;

  // The path from one row to the other through latent space; from, to: [1, columns], in support.
  // Point i of `steps` lies at t = i / (steps - 1); ends are decoded like all others, so a discrete
  // value is met exactly and others up to single precision. INVALID_ARGUMENT for fewer than 2 or
  // more than kMaxSteps steps, or as Encode; `from` is row 0 in errors, `to` row 1. The whole path
  // lies under one condition: context is [1, conditions].
  absl::StatusOr<Path> Interpolate(const NumberRows& from, const NumberRows& to,
                                   const InterpolationOptions& options, std::stop_token stop,
                                   const NumberRows& context = {}) const;

  // Completes rows whose missing values are NaN: core/score/completion.h. INVALID_ARGUMENT naming
  // row, column and value for an infinity, and in a row with missing values for a known one out of
  // support; naming the option for one out of range. Rows without missing values come back as they
  // are.
  absl::StatusOr<Completions> Complete(const NumberRows& rows, const CompletionOptions& options,
                                       std::stop_token stop, const NumberRows& context = {}) const;

 private:
  Density(std::shared_ptr<const Model> model, Backend& backend,
          std::shared_ptr<const DeviceWeights> weights)
      : model_(std::move(model)), backend_(backend), weights_(std::move(weights)) {}

  static absl::Status CheckSample(const SampleJob& job);

  std::shared_ptr<const Model> model_;
  Backend& backend_;
  std::shared_ptr<const DeviceWeights> weights_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_DENSITY_H_
