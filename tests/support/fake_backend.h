// SPDX-License-Identifier: Apache-2.0
// A backend whose density is a function given by the test, whatever the flow and its parameters
// say.
#ifndef MILLRACE_TESTS_SUPPORT_FAKE_BACKEND_H_
#define MILLRACE_TESTS_SUPPORT_FAKE_BACKEND_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/flow/backend.h"

namespace millrace {

class FakeBackend : public Backend {
 public:
  using LogDensity = std::function<double(std::span<const float> row)>;
  using Terms = std::function<void(std::span<const float> row, std::span<double> terms)>;

  // The chain's terms are needed for ChainTerms only.
  explicit FakeBackend(LogDensity log_density, Terms terms = {})
      : log_density_(std::move(log_density)), terms_(std::move(terms)) {}

  std::int64_t rows_scored() const { return rows_scored_; }
  std::int64_t calls() const { return calls_; }

  absl::StatusOr<std::shared_ptr<const DeviceWeights>> Upload(std::shared_ptr<const Flow> flow,
                                                              std::span<const float>) override {
    return std::make_shared<FakeWeights>(std::move(flow));
  }
  absl::Status LogProb(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                       TakeResult take, std::stop_token stop) override {
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    ++calls_;
    rows_scored_ += rows;
    const Batch batch = Load(weights, rows, load);
    std::vector<double> log_prob;
    for (std::int64_t r = 0; r < rows; ++r)
      log_prob.push_back(log_density_(batch.x.view().row(r)) + batch.log_det[r]);
    if (batch.wanted) take({.first = 0, .values = log_prob});
    return absl::OkStatus();
  }
  absl::Status LogProbGradient(const DeviceWeights&, RowsView<const float>, RowsView<const float>,
                               std::span<double>, RowsView<float>, std::stop_token) override {
    return absl::UnimplementedError("gradients");
  }
  absl::Status ChainTerms(const DeviceWeights&, RowsView<const float> x, RowsView<const float>,
                          RowsView<double> terms, std::stop_token) override {
    for (std::int64_t r = 0; r < x.rows; ++r) terms_(x.row(r), terms.row(r));
    return absl::OkStatus();
  }
  // The identity.
  absl::Status Forward(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                       TakeResult take, std::stop_token) override {
    const Batch batch = Load(weights, rows, load);
    const std::vector<double> log_det(static_cast<std::size_t>(rows));
    if (batch.wanted) take({.first = 0, .rows = batch.x.view(), .values = log_det});
    return absl::OkStatus();
  }
  absl::Status Inverse(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                       TakeResult take, std::stop_token stop) override {
    return Forward(weights, rows, load, take, std::move(stop));
  }
  absl::Status Sample(const DeviceWeights&, std::int64_t, LoadSamples, TakeResult, SampleValues,
                      std::stop_token) override {
    return absl::UnimplementedError("sampling");
  }
  absl::StatusOr<std::unique_ptr<TrainSession>> StartTraining(std::shared_ptr<const Flow>,
                                                              const TrainState&) override {
    return absl::UnimplementedError("training");
  }
  absl::Status Advance(const Flow&, std::span<const float>, int, int, RowsView<const float>,
                       RowsView<float>, std::stop_token) override {
    return absl::UnimplementedError("parts of a flow");
  }
  absl::StatusOr<Moments> ComputeMoments(RowsView<const float>, bool, std::stop_token) override {
    return absl::UnimplementedError("moments");
  }

 private:
  struct Batch {
    Rows<float> x, context;
    std::vector<double> log_det;
    bool wanted;
  };
  // All rows as one block.
  static Batch Load(const DeviceWeights& weights, std::int64_t rows, LoadRows load) {
    const FlowSpec& spec = weights.flow().spec();
    Batch batch{Rows<float>(rows, spec.dim), Rows<float>(rows, spec.context_dim),
                std::vector<double>(static_cast<std::size_t>(rows)), false};
    batch.wanted =
        load({0, static_cast<int>(rows), batch.x.data(),
              spec.context_dim == 0 ? nullptr : batch.context.data(), batch.log_det.data()});
    return batch;
  }

  class FakeWeights final : public DeviceWeights {
   public:
    explicit FakeWeights(std::shared_ptr<const Flow> flow) : flow_(std::move(flow)) {}
    const Flow& flow() const override { return *flow_; }

   private:
    std::shared_ptr<const Flow> flow_;
  };

  LogDensity log_density_;
  Terms terms_;
  std::int64_t rows_scored_ = 0;
  std::int64_t calls_ = 0;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_FAKE_BACKEND_H_
