// SPDX-License-Identifier: Apache-2.0
// Runs flows over batches of rows on one device, and owns the schedule: how rows are cut into
// blocks, which lane takes which block.
#ifndef MILLRACE_CORE_FLOW_BACKEND_H_
#define MILLRACE_CORE_FLOW_BACKEND_H_

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/rows.h"
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

// Thread-safe. All host rows are row-major and dense; spans are as long as the rows. Calls return
// CANCELLED soon after `stop` is requested (checked at every block). Results do not depend on the
// number of threads, nor a row's result on the rows beside it, bit for bit.
class Backend {
 public:
  virtual ~Backend() = default;

  // Copies the parameters (layout().size() floats) to the device.
  virtual absl::StatusOr<std::shared_ptr<const DeviceWeights>> Upload(
      std::shared_ptr<const Flow> flow, std::span<const float> parameters) = 0;

  // log p(x | context), nats. x [n, dim], context [n, context_dim] or empty.
  virtual absl::Status LogProb(const DeviceWeights& weights, RowsView<const float> x,
                               RowsView<const float> context, std::span<double> log_prob,
                               std::stop_token stop) = 0;
  // The same with its derivative with respect to x, [n, dim].
  virtual absl::Status LogProbGradient(const DeviceWeights& weights, RowsView<const float> x,
                                       RowsView<const float> context, std::span<double> log_prob,
                                       RowsView<float> gradient, std::stop_token stop) = 0;
  // log p(x_i | x_1 .. x_(i-1), context) of each column i, [n, dim]; they sum to log p(x | context)
  // but for rounding. FAILED_PRECONDITION unless the flow is triangular with
  // these weights.
  virtual absl::Status ChainTerms(const DeviceWeights& weights, RowsView<const float> x,
                                  RowsView<const float> context, RowsView<double> terms,
                                  std::stop_token stop) = 0;
  // z = Forward(x) with its log_det, and x = Inverse(z) with its log_det (of dx/dz). `out` [n,
  // dim].
  virtual absl::Status Forward(const DeviceWeights& weights, RowsView<const float> x,
                               RowsView<const float> context, RowsView<float> out,
                               std::span<double> log_det, std::stop_token stop) = 0;
  virtual absl::Status Inverse(const DeviceWeights& weights, RowsView<const float> z,
                               RowsView<const float> context, RowsView<float> out,
                               std::span<double> log_det, std::stop_token stop) = 0;
  // Row r of `out` [n, dim] is a sample that depends on (seed, first_row + r) only; log_prob (may
  // be empty) is the log-density of the untempered model there. Temperature is that of
  // BaseDistribution::Sample.
  virtual absl::Status Sample(const DeviceWeights& weights, std::uint64_t seed,
                              std::uint64_t first_row, double temperature,
                              RowsView<const float> context, RowsView<float> out,
                              std::span<double> log_prob, std::stop_token stop) = 0;

  // A session that starts from the given state (moments may be empty: a fresh start).
  virtual absl::StatusOr<std::unique_ptr<TrainSession>> StartTraining(
      std::shared_ptr<const Flow> flow, const TrainState& state) = 0;

  // Mean and covariance, in double, of what the first `transforms` transforms make of the rows.
  virtual absl::StatusOr<Moments> ComputeMoments(const Flow& flow,
                                                 std::span<const float> parameters, int transforms,
                                                 RowsView<const float> x,
                                                 RowsView<const float> context,
                                                 std::stop_token stop) = 0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_BACKEND_H_
