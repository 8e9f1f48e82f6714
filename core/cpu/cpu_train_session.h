// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_CPU_CPU_TRAIN_SESSION_H_
#define MILLRACE_CORE_CPU_CPU_TRAIN_SESSION_H_

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/lanes.h"
#include "core/flow/backend.h"

namespace millrace {

// Blocks of a batch belong to lanes, a fixed number that depends on the batch alone; each lane adds
// its blocks' gradients in order into an array of its own, and the arrays are added in lane order.
// So the number of threads changes nothing. Memory: one array of parameters a lane, one block's
// activations a thread, whatever the batch size.
class CpuTrainSession final : public TrainSession {
 public:
  // `lanes` outlives the session.
  CpuTrainSession(std::shared_ptr<const Flow> flow, const TrainState& state, Lanes& lanes);

  LossAndGradient ComputeGradient(RowsView<const float> x, RowsView<const float> context) override;
  void SampleBatch(std::uint64_t seed, std::uint64_t first_row, RowsView<const float> context,
                   RowsView<float> x, std::span<double> log_q) override;
  double ComputeSampleGradient(std::uint64_t seed, std::uint64_t first_row,
                               RowsView<const float> context, RowsView<const float> x_bar,
                               std::span<const double> log_q_bar) override;
  void Step(const AdamStep& step) override;
  absl::Status LogProb(RowsView<const float> x, RowsView<const float> context, bool use_ema,
                       std::span<double> log_prob, std::stop_token stop) override;
  TrainState Save() const override { return state_; }
  void Restore(const TrainState& state) override;
  std::span<const float> gradient() const override { return gradient_.span(); }

 private:
  // task(lane, first row, rows, scratch, lane's gradients) on every block of a batch; then reduces
  // the gradients and returns their norm.
  double ForEachBlock(
      std::int64_t rows,
      absl::FunctionRef<void(std::int64_t, std::int64_t, int, Scratch&, Gradients)> task);
  double BlockLoss(RowsView<const float> x, RowsView<const float> context, std::int64_t first,
                   int count, Scratch& scratch, Gradients gradients) const;
  double ReduceGradients(int lanes);
  void Constrain();
  // To be called whenever parameters have changed.
  void Normalise();
  Weights weights() const;

  std::shared_ptr<const Flow> flow_;
  Lanes& lanes_;
  const int most_rows_;  // of a block
  CpuKernels kernels_;
  TrainState state_;
  ParameterValues normalised_;  // what NormaliseWeights makes of the parameters; empty: nothing
  ParameterValues gradient_;
  std::vector<ParameterValues> lane_gradients_;
  std::vector<double> losses_;   // per lane
  std::vector<double> squares_;  // per chunk of parameters
  double rows_ = 1.0;            // that gradient_ is of
  // Per cache line of parameters.
  std::vector<char> decays_;
  std::vector<char> statistic_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_CPU_TRAIN_SESSION_H_
