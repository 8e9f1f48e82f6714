// SPDX-License-Identifier: Apache-2.0
#include "tests/server/support/gated_backend.h"

#include <utility>

#include "core/cpu/cpu_backend.h"

namespace millrace {
namespace {

class GatedBackend final : public Backend {
 public:
  explicit GatedBackend(std::shared_ptr<Gate> gate)
      : gate_(std::move(gate)), cpu_(CreateCpuBackend({.threads = 2})) {}

  absl::StatusOr<std::shared_ptr<const DeviceWeights>> Upload(
      std::shared_ptr<const Flow> flow, std::span<const float> parameters) override {
    return cpu_->Upload(std::move(flow), parameters);
  }
  absl::Status LogProb(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                       TakeResult take, std::stop_token stop) override {
    gate_->Pass();
    return cpu_->LogProb(weights, rows, load, take, std::move(stop));
  }
  absl::Status Forward(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                       TakeResult take, std::stop_token stop) override {
    return cpu_->Forward(weights, rows, load, take, std::move(stop));
  }
  absl::Status Inverse(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                       TakeResult take, std::stop_token stop) override {
    return cpu_->Inverse(weights, rows, load, take, std::move(stop));
  }
  absl::Status Sample(const DeviceWeights& weights, std::int64_t rows, LoadSamples load,
                      TakeResult take, SampleValues values, std::stop_token stop) override {
    return cpu_->Sample(weights, rows, load, take, values, std::move(stop));
  }
  absl::Status LogProbGradient(const DeviceWeights& weights, RowsView<const float> x,
                               RowsView<const float> context, std::span<double> log_prob,
                               RowsView<float> gradient, std::stop_token stop) override {
    gate_->Pass();
    return cpu_->LogProbGradient(weights, x, context, log_prob, gradient, std::move(stop));
  }
  absl::Status ChainTerms(const DeviceWeights& weights, RowsView<const float> x,
                          RowsView<const float> context, RowsView<double> terms,
                          std::stop_token stop) override {
    return cpu_->ChainTerms(weights, x, context, terms, std::move(stop));
  }
  absl::StatusOr<std::unique_ptr<TrainSession>> StartTraining(std::shared_ptr<const Flow> flow,
                                                              const TrainState& state) override {
    gate_->Pass();
    return cpu_->StartTraining(std::move(flow), state);
  }
  absl::Status Advance(const Flow& flow, std::span<const float> parameters, int first, int end,
                       RowsView<const float> context, RowsView<float> rows,
                       std::stop_token stop) override {
    return cpu_->Advance(flow, parameters, first, end, context, rows, std::move(stop));
  }
  absl::StatusOr<Moments> ComputeMoments(RowsView<const float> rows, bool covariance,
                                         std::stop_token stop) override {
    return cpu_->ComputeMoments(rows, covariance, std::move(stop));
  }

 private:
  const std::shared_ptr<Gate> gate_;
  const std::unique_ptr<Backend> cpu_;
};

}  // namespace

void Gate::Close() {
  const std::lock_guard lock(mutex_);
  open_ = false;
}

void Gate::Open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

void Gate::LetPass() {
  const std::lock_guard lock(mutex_);
  ++let_pass_;
  changed_.notify_all();
}

void Gate::AwaitCaller() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_ > 0; });
}

void Gate::Pass() {
  std::unique_lock lock(mutex_);
  ++callers_;
  ++waiting_;
  changed_.notify_all();
  changed_.wait(lock, [this, came = let_pass_] { return open_ || let_pass_ != came; });
  --waiting_;
}

int Gate::callers() {
  const std::lock_guard lock(mutex_);
  return callers_;
}

std::unique_ptr<Backend> MakeGatedBackend(std::shared_ptr<Gate> gate) {
  return std::make_unique<GatedBackend>(std::move(gate));
}

}  // namespace millrace
