// SPDX-License-Identifier: Apache-2.0
// Runs flows over batches of rows on one device, and owns the schedule: how rows are cut into
// blocks, which lane takes which block.
#ifndef MILLRACE_CORE_FLOW_BACKEND_H_
#define MILLRACE_CORE_FLOW_BACKEND_H_

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/rows.h"
#include "core/exec/base_layer.h"
#include "core/exec/parameters.h"
#include "core/flow/flow.h"

namespace millrace {

// A flow with its parameters, on a device, ready to compute. Immutable; whoever holds it keeps it
// alive.
class DeviceWeights {
 public:
  virtual ~DeviceWeights() = default;
  virtual const Flow& flow() const = 0;
};

// The values of Adam (Kingma, Ba 2015) for one step, with decoupled weight decay (Loshchilov,
// Hutter 2019) and, when ema_decay > 0, an exponential moving average of the parameters.
struct AdamStep {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;    // on entries whose layout says `decays`
  double gradient_scale = 1.0;  // multiplies the gradient first: clipping
  double ema_decay = 0.0;
  // Running statistics (ParameterLayout::Entry::statistic) are not Adam's: they move by this share
  // towards those of the batch. The moving average is of them as well.
  double statistics_rate = 0.1;
};

// Everything a training run changes; enough to go on bit for bit. All arrays have layout().size()
// elements; `ema` is empty when unused.
struct TrainState {
  ParameterValues parameters;
  ParameterValues first_moment;
  ParameterValues second_moment;
  ParameterValues ema;
  std::int64_t steps = 0;  // Adam steps taken
};

// Training on one device. Not thread-safe. Rows are standardised floats, row-major [n, dim] with
// their conditions [n, context_dim] (empty without).
class TrainSession {
 public:
  virtual ~TrainSession() = default;

  // The gradient that follows is that of the loss plus the mean over rows of penalty * s^2, summed
  // over the log-scales s that autoregressive and coupling layers condition; 0 at first. The loss
  // itself stays plain.
  void set_log_scale_penalty(double penalty) { log_scale_penalty_ = penalty; }

  struct LossAndGradient {
    double loss = 0.0;           // mean of -log p over the rows, nats
    double gradient_norm = 0.0;  // L2 norm of d loss / d parameters, running statistics aside
  };
  // Computes the gradient and keeps it for Step. Non-finite values are returned as they are.
  virtual LossAndGradient ComputeGradient(RowsView<const float> x,
                                          RowsView<const float> context) = 0;

  // Training by samples, in two phases, so that whoever knows the target's density may evaluate it
  // in between. Rows [first_row, first_row + x.rows) of the endless sequence of samples of `seed`
  // under the current parameters, with their log-densities.
  virtual void SampleBatch(std::uint64_t seed, std::uint64_t first_row,
                           RowsView<const float> context, RowsView<float> x,
                           std::span<double> log_q) = 0;
  // Of the same rows: the gradient of a loss that has the derivative x_bar [n, dim] with respect to
  // them and log_q_bar [n] with respect to log_q, as Flow::SampleBackward takes it. Kept for Step;
  // returns its L2 norm. The rows are drawn again, so that memory is bounded by a block's. Not for
  // bases that CheckSampleGradient refuses.
  virtual double ComputeSampleGradient(std::uint64_t seed, std::uint64_t first_row,
                                       RowsView<const float> context, RowsView<const float> x_bar,
                                       std::span<const double> log_q_bar) = 0;

  // Applies Adam with the kept gradient.
  virtual void Step(const AdamStep& step) = 0;

  // log p of each row under the current parameters (use_ema: under their moving average).
  virtual absl::Status LogProb(RowsView<const float> x, RowsView<const float> context, bool use_ema,
                               std::span<double> log_prob, std::stop_token stop) = 0;

  virtual TrainState Save() const = 0;
  virtual void Restore(const TrainState& state) = 0;
  // The kept gradient, for tests: layout().size() elements. Of running statistics, what rows say of
  // them, summed over the batch.
  virtual std::span<const float> gradient() const = 0;

 protected:
  double log_scale_penalty() const { return log_scale_penalty_; }

 private:
  double log_scale_penalty_ = 0.0;
};

// A batch may stand anywhere, in any form: the backend asks for one block of rows after another and
// hands the results back likewise, on its own threads, several at once. Every row is in one block;
// each begins at a multiple of kRowAlign, but a batch of up to kAloneRows rows may be cut anywhere.
// What follows is memory of the backend, in cache.
inline constexpr int kAloneRows = 4;

// Rows [first, first + count) of a batch, to be written as the flow takes them, row-major.
struct RowBlock {
  std::int64_t first = 0;
  int count = 0;
  float* x = nullptr;         // [count, dim]
  float* context = nullptr;   // [count, context_dim]; null without
  double* log_det = nullptr;  // [count], zeros; counts in LogProb
};
struct SampleBlock {
  std::int64_t first = 0;
  std::span<SampleKey> keys;  // [count]
  float* context = nullptr;
};
// False where nothing of the block is wanted any more: it is not computed, and not taken.
using LoadRows = absl::FunctionRef<bool(const RowBlock&)>;
using LoadSamples = absl::FunctionRef<bool(const SampleBlock&)>;

// Results of rows [first, first + values.size()), which last as long as the call: rows [n, dim],
// of LogProb none, and one value a row.
struct BlockResult {
  std::int64_t first = 0;
  RowsView<const float> rows = {};
  std::span<const double> values = {};
};
using TakeResult = absl::FunctionRef<void(const BlockResult&)>;

// Thread-safe. All host rows are row-major and dense; spans are as long as the rows. Calls return
// CANCELLED soon after `stop` is requested (checked at every block). Results do not depend on the
// number of threads, nor a row's result on the rows beside it, bit for bit; of a row that overflows
// single precision, which of its results are NaN may.
class Backend {
 public:
  virtual ~Backend() = default;

  // Copies the parameters (layout().size() floats) to the device. What is normalised is normalised
  // here, once.
  virtual absl::StatusOr<std::shared_ptr<const DeviceWeights>> Upload(
      std::shared_ptr<const Flow> flow, std::span<const float> parameters) = 0;

  // Of a batch of `rows` rows, values: log p(x | context) + log_det, nats.
  virtual absl::Status LogProb(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                               TakeResult take, std::stop_token stop) = 0;
  // z = Forward(x) with its log_det, and x = Inverse(z) with its log_det (of dx/dz) as values.
  virtual absl::Status Forward(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                               TakeResult take, std::stop_token stop) = 0;
  virtual absl::Status Inverse(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                               TakeResult take, std::stop_token stop) = 0;
  // Each row is a sample that depends on its key only, as BaseDistribution::Sample states it.
  // Values, unless told to leave them out: the log-density of the untempered model there.
  enum class SampleValues { kNone, kLogProb };
  virtual absl::Status Sample(const DeviceWeights& weights, std::int64_t rows, LoadSamples load,
                              TakeResult take, SampleValues values, std::stop_token stop) = 0;

  // The same of rows in memory. x, z, out [n, dim], context [n, context_dim] or empty.
  // INVALID_ARGUMENT for a context of another shape.
  absl::Status LogProb(const DeviceWeights& weights, RowsView<const float> x,
                       RowsView<const float> context, std::span<double> log_prob,
                       std::stop_token stop);
  absl::Status Forward(const DeviceWeights& weights, RowsView<const float> x,
                       RowsView<const float> context, RowsView<float> out,
                       std::span<double> log_det, std::stop_token stop);
  absl::Status Inverse(const DeviceWeights& weights, RowsView<const float> z,
                       RowsView<const float> context, RowsView<float> out,
                       std::span<double> log_det, std::stop_token stop);
  // Row r of `out` has the key (seed, first_row + r, temperature); log_prob may be empty.
  absl::Status Sample(const DeviceWeights& weights, std::uint64_t seed, std::uint64_t first_row,
                      double temperature, RowsView<const float> context, RowsView<float> out,
                      std::span<double> log_prob, std::stop_token stop);

  // log p(x | context) with its derivative with respect to x, [n, dim].
  virtual absl::Status LogProbGradient(const DeviceWeights& weights, RowsView<const float> x,
                                       RowsView<const float> context, std::span<double> log_prob,
                                       RowsView<float> gradient, std::stop_token stop) = 0;
  // log p(x_i | x_1 .. x_(i-1), context) of each column i, [n, dim]; they sum to log p(x | context)
  // but for rounding. FAILED_PRECONDITION unless the flow is triangular with
  // these weights.
  virtual absl::Status ChainTerms(const DeviceWeights& weights, RowsView<const float> x,
                                  RowsView<const float> context, RowsView<double> terms,
                                  std::stop_token stop) = 0;

  // A session that starts from the given state (moments may be empty: a fresh start).
  virtual absl::StatusOr<std::unique_ptr<TrainSession>> StartTraining(
      std::shared_ptr<const Flow> flow, const TrainState& state) = 0;

  // Rows [n, dim] as they reach transform `first` of the flow become what reaches transform `end`,
  // bit for bit as on one way from the data; 0 <= first <= end <= the number of transforms, `end`
  // being that number for latent points. `context` as above. CANCELLED within a
  // block of `stop`; after an error the rows mean nothing.
  virtual absl::Status Advance(const Flow& flow, std::span<const float> parameters, int first,
                               int end, RowsView<const float> context, RowsView<float> rows,
                               std::stop_token stop) = 0;
  // Mean and covariance of rows, in double; or variances alone.
  virtual absl::StatusOr<Moments> ComputeMoments(RowsView<const float> rows, bool covariance,
                                                 std::stop_token stop) = 0;

 protected:
  // INVALID_ARGUMENT unless `context` is that of `rows` rows.
  static absl::Status CheckContext(const Flow& flow, std::int64_t rows,
                                   RowsView<const float> context);
};

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_BACKEND_H_
