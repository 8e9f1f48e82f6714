// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/cpu_backend.h"

#include <tbb/global_control.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/cpu_train_session.h"
#include "core/cpu/lanes.h"
#include "core/cpu/load_block.h"
#include "core/cpu/moments.h"
#include "core/cpu/one_row.h"
#include "core/exec/weight_norm.h"

namespace millrace {
namespace {

class CpuWeights final : public DeviceWeights {
 public:
  CpuWeights(std::shared_ptr<const Flow> flow, std::span<const float> parameters)
      : flow_(std::move(flow)),
        values_(NormalisedWeights(flow_->layout(), parameters)),
        triangular_(flow_->IsTriangular(parameters)) {
    // Of images, rows that come alone are blocks like others.
    if (!flow_->spec().image) by_input_.emplace(flow_->layout(), values_.span());
  }
  const Flow& flow() const override { return *flow_; }
  bool triangular() const { return triangular_; }
  Weights weights() const { return {values_.data(), by_input_ ? &*by_input_ : nullptr}; }

 private:
  std::shared_ptr<const Flow> flow_;
  ParameterValues values_;
  std::optional<WeightsByInput> by_input_;
  bool triangular_;
};

Weights Of(const DeviceWeights& weights) {
  return static_cast<const CpuWeights&>(weights).weights();
}

Vector NewZeros(Pass& pass, int rows) {
  const Vector zeros = pass.arena.NewVector(rows);
  std::fill_n(zeros.data, RoundUp(rows, kRowAlign), 0.0);
  return zeros;
}

std::span<const double> ValuesOf(Vector values) {
  return {values.data, static_cast<std::size_t>(values.size)};
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads)
      : lanes_(threads), training_lanes_(threads, Lanes::Priority::low) {}
  // Of all processors that the process may use. oneTBB knows nothing of quotas, and would have
  // threads for queries and for a training besides.
  CpuBackend() : CpuBackend(AvailableProcessors()) {
    limit_.emplace(tbb::global_control::max_allowed_parallelism, lanes_.threads());
  }

  absl::StatusOr<std::shared_ptr<const DeviceWeights>> Upload(
      std::shared_ptr<const Flow> flow, std::span<const float> parameters) override {
    MILLRACE_CHECK(parameters.size() == flow->layout().size());
    return std::make_shared<CpuWeights>(std::move(flow), parameters);
  }

  absl::Status LogProb(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                       TakeResult take, std::stop_token stop) override {
    const Flow& flow = weights.flow();
    return ForEachBlock(
        lanes_, flow, Of(weights), rows, stop, [&](Pass& pass, std::int64_t first, int count) {
          const Matrix block = NewRows(pass, count, flow.dim());
          const Vector log_det = NewZeros(pass, count), log_p = pass.arena.NewVector(count);
          if (!Pull(flow, load, first, log_det, pass, block)) return;
          flow.LogProb(pass, block, log_p);
          for (int r = 0; r < count; ++r) log_p.data[r] += log_det.data[r];
          TakenByHost(take, {.first = first, .values = ValuesOf(log_p)});
        });
  }

  absl::Status Forward(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                       TakeResult take, std::stop_token stop) override {
    return Map(weights, rows, load, take, stop, [&](Pass& pass, Matrix block, Vector log_det) {
      weights.flow().Forward(pass, block, log_det);
    });
  }

  absl::Status Inverse(const DeviceWeights& weights, std::int64_t rows, LoadRows load,
                       TakeResult take, std::stop_token stop) override {
    return Map(weights, rows, load, take, stop, [&](Pass& pass, Matrix block, Vector log_det) {
      weights.flow().Inverse(pass, block, log_det);
    });
  }

  absl::Status Sample(const DeviceWeights& weights, std::int64_t rows, LoadSamples load,
                      TakeResult take, SampleValues values, std::stop_token stop) override {
    const Flow& flow = weights.flow();
    return ForEachBlock(
        lanes_, flow, Of(weights), rows, stop, [&](Pass& pass, std::int64_t first, int count) {
          const Matrix z = NewRows(pass, count, flow.dim());
          const Vector log_det = pass.arena.NewVector(count), log_p = NewZeros(pass, count);
          if (!PullSamples(flow, load, first, pass, z)) return;
          const bool with_log_prob = values == SampleValues::kLogProb;
          if (with_log_prob) flow.base().LogDensity(pass, z, log_p);
          flow.Inverse(pass, z, log_det);
          for (int r = 0; r < count; ++r) log_p.data[r] -= log_det.data[r];
          TakenByHost(take,
                      {.first = first,
                       .rows = StoreRows(z, pass),
                       .values = with_log_prob ? ValuesOf(log_p) : std::span<const double>()});
        });
  }

  absl::Status LogProbGradient(const DeviceWeights& weights, RowsView<const float> x,
                               RowsView<const float> context, std::span<double> log_prob,
                               RowsView<float> gradient, std::stop_token stop) override {
    const Flow& flow = weights.flow();
    MILLRACE_RETURN_IF_ERROR(CheckContext(flow, x.rows, context));
    return ForEachBlock(lanes_, flow, Of(weights), x.rows, stop,
                        [&](Pass& pass, std::int64_t first, int count) {
                          Tape tape;
                          pass.tape = &tape;
                          const Matrix block = LoadBlock(x, context, first, count, pass);
                          const Vector log_p = pass.arena.NewVector(count);
                          flow.LogProb(pass, block, log_p);
                          std::copy_n(log_p.data, count, log_prob.data() + first);
                          std::fill_n(log_p.data, RoundUp(count, kRowAlign), 1.0);
                          flow.LogProbBackward(pass, block, log_p);
                          pass.kernels.Store(block, gradient.data + first * gradient.cols);
                        });
  }

  absl::Status ChainTerms(const DeviceWeights& weights, RowsView<const float> x,
                          RowsView<const float> context, RowsView<double> terms,
                          std::stop_token stop) override {
    const Flow& flow = weights.flow();
    if (!static_cast<const CpuWeights&>(weights).triangular())
      return absl::FailedPreconditionError(
          "the flow mixes columns: log p has no terms log p(x_i | x_<i) in column order");
    return ForEachBlockOf(lanes_, flow, Of(weights), x, context, stop,
                          [&](Pass& pass, std::int64_t first, Matrix block) {
                            const Vectors columns = pass.arena.NewVectors(block.rows, flow.dim());
                            std::fill_n(columns.data, columns.extent(), 0.0);
                            pass.column_log_det = columns;
                            flow.LogProb(pass, block, pass.arena.NewVector(block.rows));
                            for (int c = 0; c < flow.dim(); ++c)
                              for (int r = 0; r < block.rows; ++r)
                                terms(first + r, c) = columns[c].data[r];
                          });
  }

  absl::StatusOr<std::unique_ptr<TrainSession>> StartTraining(std::shared_ptr<const Flow> flow,
                                                              const TrainState& state) override {
    return std::make_unique<CpuTrainSession>(std::move(flow), state, training_lanes_);
  }

  absl::Status Advance(const Flow& flow, std::span<const float> parameters, int first, int end,
                       RowsView<const float> context, RowsView<float> rows,
                       std::stop_token stop) override {
    const bool normalised = flow.layout().normalised();
    const ParameterValues copy =
        normalised ? NormalisedWeights(flow.layout(), parameters) : ParameterValues();
    const Weights weights{normalised ? copy.data() : parameters.data()};
    return ForEachBlockOf(training_lanes_, flow, weights, rows, context, stop,
                          [&](Pass& pass, std::int64_t first_row, Matrix block) {
                            const Vector log_det = NewZeros(pass, block.rows);
                            for (int t = first; t < end; ++t)
                              flow.transforms()[t]->Forward(pass, block, log_det);
                            pass.kernels.Store(block, rows.row(first_row).data());
                          });
  }

  absl::StatusOr<Moments> ComputeMoments(RowsView<const float> rows, bool covariance,
                                         std::stop_token stop) override {
    return MomentsOf(rows, covariance, training_lanes_, stop);
  }

 private:
  // Cuts rows into blocks and calls task(pass, first row, number of rows) for each.
  template <typename Task>
  absl::Status ForEachBlock(Lanes& lanes, const Flow& flow, Weights weights, std::int64_t rows,
                            const std::stop_token& stop, const Task& task) {
    // The cut is free: a row's result does not depend on its block. Few rows are computed one by
    // one (core/cpu/one_row.h), without a fork.
    if (rows <= kAloneRows && weights.by_input != nullptr)
      return lanes.Run(1, stop, [&](std::int64_t, Scratch& scratch) {
        for (std::int64_t r = 0; r < rows; ++r) {
          const Arena::Scope scope(scratch.arena);
          Pass pass{.kernels = kernels_, .arena = scratch.arena, .weights = weights};
          task(pass, r, 1);
        }
      });
    const std::int64_t share = (rows + lanes.threads() - 1) / lanes.threads();
    const int block_rows = static_cast<int>(
        std::clamp<std::int64_t>((share + 15) / 16 * 16, kRowAlign, MostRowsOfBlock(flow)));
    const std::int64_t blocks = (rows + block_rows - 1) / block_rows;
    return lanes.Run(blocks, stop, [&](std::int64_t b, Scratch& scratch) {
      const std::int64_t first = b * block_rows;
      Pass pass{.kernels = kernels_, .arena = scratch.arena, .weights = weights};
      task(pass, first, static_cast<int>(std::min<std::int64_t>(block_rows, rows - first)));
    });
  }

  // Of rows in memory: calls task(pass, first row, block).
  template <typename Task>
  absl::Status ForEachBlockOf(Lanes& lanes, const Flow& flow, Weights weights,
                              RowsView<const float> rows, RowsView<const float> context,
                              const std::stop_token& stop, const Task& task) {
    MILLRACE_RETURN_IF_ERROR(CheckContext(flow, rows.rows, context));
    return ForEachBlock(lanes, flow, weights, rows.rows, stop,
                        [&](Pass& pass, std::int64_t first, int count) {
                          task(pass, first, LoadBlock(rows, context, first, count, pass));
                        });
  }

  template <typename Transform>
  absl::Status Map(const DeviceWeights& weights, std::int64_t rows, LoadRows load, TakeResult take,
                   const std::stop_token& stop, const Transform& transform) {
    const Flow& flow = weights.flow();
    return ForEachBlock(
        lanes_, flow, Of(weights), rows, stop, [&](Pass& pass, std::int64_t first, int count) {
          const Matrix block = NewRows(pass, count, flow.dim());
          const Vector log_det = NewZeros(pass, count);
          if (!Pull(flow, load, first, log_det, pass, block)) return;
          transform(pass, block, log_det);
          TakenByHost(
              take, {.first = first, .rows = StoreRows(block, pass), .values = ValuesOf(log_det)});
        });
  }

  CpuKernels kernels_;
  Lanes lanes_;  // of queries
  Lanes training_lanes_;
  std::optional<tbb::global_control> limit_;
};

}  // namespace

std::unique_ptr<Backend> CreateCpuBackend(const CpuBackendOptions& options) {
  if (options.threads > 0) return std::make_unique<CpuBackend>(options.threads);
  return std::make_unique<CpuBackend>();
}

}  // namespace millrace
