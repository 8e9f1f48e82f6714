// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/cpu_train_session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/check.h"
#include "core/cpu/load_block.h"
#include "core/cpu/pack.h"
#include "core/exec/weight_norm.h"

namespace millrace {
namespace {

constexpr int kMaxLanes = 8;
// Parameters are reduced and updated in chunks of this many.
constexpr std::size_t kChunk = 8192;

std::int64_t Chunks(std::size_t size) {
  return static_cast<std::int64_t>((size + kChunk - 1) / kChunk);
}

}  // namespace

CpuTrainSession::CpuTrainSession(std::shared_ptr<const Flow> flow, const TrainState& state,
                                 Lanes& lanes)
    : flow_(std::move(flow)),
      lanes_(lanes),
      most_rows_(MostRowsOfBlock(*flow_)),
      gradient_(flow_->layout().size()) {
  const std::size_t lines = flow_->layout().size() / kRowAlign;
  decays_.assign(lines, 0);
  statistic_.assign(lines, 0);
  for (const ParameterLayout::Entry& entry : flow_->layout().entries()) {
    const auto first = static_cast<std::ptrdiff_t>(entry.slice.offset / kRowAlign);
    const std::size_t count = entry.slice.extent() / kRowAlign;
    std::fill_n(decays_.begin() + first, count, entry.decays);
    std::fill_n(statistic_.begin() + first, count, entry.statistic);
  }
  Restore(state);
}

void CpuTrainSession::Restore(const TrainState& state) {
  const std::size_t size = flow_->layout().size();
  MILLRACE_CHECK(state.parameters.size() == size);
  state_ = state;
  if (state_.first_moment.size() != size) state_.first_moment = ParameterValues(size);
  if (state_.second_moment.size() != size) state_.second_moment = ParameterValues(size);
  Normalise();
}

void CpuTrainSession::Normalise() {
  if (!flow_->layout().normalised()) return;
  if (normalised_.size() == 0) normalised_ = ParameterValues(state_.parameters.size());
  std::ranges::copy(state_.parameters.span(), normalised_.data());
  NormaliseWeights(flow_->layout(), normalised_.span());
}

Weights CpuTrainSession::weights() const {
  return {normalised_.size() > 0 ? normalised_.data() : state_.parameters.data()};
}

double CpuTrainSession::BlockLoss(RowsView<const float> x, RowsView<const float> context,
                                  std::int64_t first, int count, Scratch& scratch,
                                  Gradients gradients) const {
  Pass pass{.kernels = kernels_,
            .arena = scratch.arena,
            .weights = weights(),
            .gradients = gradients,
            .log_scale_penalty = log_scale_penalty(),
            .tape = &scratch.tape};
  const Matrix block = LoadBlock(x, context, first, count, pass);
  const Vector log_p = scratch.arena.NewVector(count);
  flow_->LogProb(pass, block, log_p);
  double sum = 0.0;
  for (int r = 0; r < count; ++r) sum += log_p.data[r];
  const Vector log_p_bar = scratch.arena.NewVector(count);
  std::fill_n(log_p_bar.data, RoundUp(count, kRowAlign), 0.0);
  std::fill_n(log_p_bar.data, count, -1.0 / static_cast<double>(x.rows));
  flow_->LogProbBackward(pass, block, log_p_bar);
  return -sum;
}

double CpuTrainSession::ForEachBlock(
    std::int64_t rows,
    absl::FunctionRef<void(std::int64_t, std::int64_t, int, Scratch&, Gradients)> task) {
  MILLRACE_CHECK(rows > 0);
  rows_ = static_cast<double>(rows);
  // Small batches are cut finer, so that several lanes have work.
  const int block_rows =
      static_cast<int>(std::clamp<std::int64_t>((rows + 63) / 64 * 16, kRowAlign, most_rows_));
  const std::int64_t blocks = (rows + block_rows - 1) / block_rows;
  const int lanes = static_cast<int>(std::min<std::int64_t>(blocks, kMaxLanes));
  while (static_cast<int>(lane_gradients_.size()) < lanes)
    lane_gradients_.emplace_back(flow_->layout().size());
  (void)lanes_.Run(lanes, {}, [&](std::int64_t lane, Scratch& scratch) {
    ParameterValues& own = lane_gradients_[lane];
    std::fill_n(own.data(), own.size(), 0.0f);
    for (std::int64_t b = lane; b < blocks; b += lanes) {
      const std::int64_t first = b * block_rows;
      const int count = static_cast<int>(std::min<std::int64_t>(block_rows, rows - first));
      scratch.arena.Reset();
      scratch.tape.Clear();
      task(lane, first, count, scratch, {own.data()});
    }
    NormaliseWeightsAdjoint<float>(flow_->layout(), state_.parameters.span(), own.span());
  });
  return std::sqrt(ReduceGradients(lanes));
}

TrainSession::LossAndGradient CpuTrainSession::ComputeGradient(RowsView<const float> x,
                                                               RowsView<const float> context) {
  losses_.assign(kMaxLanes, 0.0);
  const double norm = ForEachBlock(x.rows, [&](std::int64_t lane, std::int64_t first, int count,
                                               Scratch& scratch, Gradients gradients) {
    losses_[lane] += BlockLoss(x, context, first, count, scratch, gradients);
  });
  double loss = 0.0;
  for (double lane_loss : losses_) loss += lane_loss;
  return {loss / static_cast<double>(x.rows), norm};
}

void CpuTrainSession::SampleBatch(std::uint64_t seed, std::uint64_t first_row,
                                  RowsView<const float> context, RowsView<float> x,
                                  std::span<double> log_q) {
  const std::int64_t blocks = (x.rows + most_rows_ - 1) / most_rows_;
  (void)lanes_.Run(blocks, {}, [&](std::int64_t b, Scratch& scratch) {
    const std::int64_t first = b * most_rows_;
    const int count = static_cast<int>(std::min<std::int64_t>(most_rows_, x.rows - first));
    Pass pass{.kernels = kernels_, .arena = scratch.arena, .weights = weights()};
    const Matrix block = LoadBlock({nullptr, x.rows, x.cols}, context, first, count, pass);
    const Vector of_block = scratch.arena.NewVector(count);
    flow_->Sample(pass, seed, first_row + static_cast<std::uint64_t>(first), block, of_block);
    kernels_.Store(block, x.data + first * x.cols);
    std::copy_n(of_block.data, count, log_q.data() + first);
  });
}

double CpuTrainSession::ComputeSampleGradient(std::uint64_t seed, std::uint64_t first_row,
                                              RowsView<const float> context,
                                              RowsView<const float> x_bar,
                                              std::span<const double> log_q_bar) {
  return ForEachBlock(x_bar.rows, [&](std::int64_t, std::int64_t first, int count, Scratch& scratch,
                                      Gradients gradients) {
    Pass pass{.kernels = kernels_,
              .arena = scratch.arena,
              .weights = weights(),
              .gradients = gradients,
              .tape = &scratch.tape};
    const std::uint64_t row = first_row + static_cast<std::uint64_t>(first);
    const Matrix bar = LoadBlock(x_bar, context, first, count, pass);
    const Matrix x = scratch.arena.NewMatrix(count, x_bar.cols);
    flow_->Sample(pass, seed, row, x, scratch.arena.NewVector(count));
    const Vector of_block = scratch.arena.NewVector(count);
    std::fill_n(of_block.data, RoundUp(count, kRowAlign), 0.0);
    std::copy_n(log_q_bar.data() + first, count, of_block.data);
    flow_->SampleBackward(pass, seed, row, x, bar, of_block);
  });
}

// gradient_ = the sum over lanes in lane order; returns its squared norm, running statistics aside,
// summed in a fixed order.
double CpuTrainSession::ReduceGradients(int lanes) {
  const std::size_t size = gradient_.size();
  squares_.assign(static_cast<std::size_t>(Chunks(size)), 0.0);
  (void)lanes_.Run(Chunks(size), {}, [&](std::int64_t chunk, Scratch&) {
    const std::size_t begin = static_cast<std::size_t>(chunk) * kChunk;
    const std::size_t end = std::min(size, begin + kChunk);
    Pack square(0.0f);
    for (std::size_t i = begin; i < end; i += Pack::kWidth) {
      Pack sum = Pack::Load(lane_gradients_[0].data() + i);
      for (int l = 1; l < lanes; ++l) sum = sum + Pack::Load(lane_gradients_[l].data() + i);
      sum.Store(gradient_.data() + i);
      if (statistic_[i / kRowAlign] == 0) square = square + sum * sum;
    }
    for (int i = 0; i < Pack::kWidth; ++i) squares_[chunk] += square.v[i];
  });
  double total = 0.0;
  for (double square : squares_) total += square;
  return total;
}

void CpuTrainSession::Step(const AdamStep& step) {
  ++state_.steps;
  const std::size_t size = gradient_.size();
  if (step.ema_decay > 0.0 && state_.ema.size() != size) state_.ema = state_.parameters;
  const double count = static_cast<double>(state_.steps);
  const double correction1 = 1.0 - std::pow(step.beta1, count);
  const double correction2 = 1.0 - std::pow(step.beta2, count);
  const Pack beta1(static_cast<float>(step.beta1)), beta2(static_cast<float>(step.beta2));
  const Pack rest1(static_cast<float>(1.0 - step.beta1)),
      rest2(static_cast<float>(1.0 - step.beta2));
  const Pack rate(static_cast<float>(step.learning_rate / correction1));
  const Pack root_correction(static_cast<float>(1.0 / std::sqrt(correction2)));
  const Pack epsilon(static_cast<float>(step.epsilon));
  const Pack scale(static_cast<float>(step.gradient_scale));
  const Pack statistics_rate(static_cast<float>(step.statistics_rate / rows_));
  const Pack keep(static_cast<float>(1.0 - step.learning_rate * step.weight_decay));
  // The average forgets its start sooner while there are few steps.
  const double ema_decay = std::min(step.ema_decay, (1.0 + count) / (10.0 + count));
  const Pack ema_rest(static_cast<float>(1.0 - ema_decay));
  (void)lanes_.Run(Chunks(size), {}, [&](std::int64_t chunk, Scratch&) {
    const std::size_t begin = static_cast<std::size_t>(chunk) * kChunk;
    const std::size_t end = std::min(size, begin + kChunk);
    for (std::size_t i = begin; i < end; i += Pack::kWidth) {
      Pack p = Pack::Load(state_.parameters.data() + i);
      if (statistic_[i / kRowAlign] != 0) {
        p = p + statistics_rate * Pack::Load(gradient_.data() + i);
      } else {
        const Pack g = Pack::Load(gradient_.data() + i) * scale;
        const Pack m = beta1 * Pack::Load(state_.first_moment.data() + i) + rest1 * g;
        const Pack v = beta2 * Pack::Load(state_.second_moment.data() + i) + rest2 * (g * g);
        if (decays_[i / kRowAlign] != 0) p = p * keep;
        p = p - rate * m / (Sqrt(v) * root_correction + epsilon);
        m.Store(state_.first_moment.data() + i);
        v.Store(state_.second_moment.data() + i);
      }
      p.Store(state_.parameters.data() + i);
      if (step.ema_decay > 0.0) {
        const Pack average = Pack::Load(state_.ema.data() + i);
        (average + ema_rest * (p - average)).Store(state_.ema.data() + i);
      }
    }
  });
  Constrain();
  Normalise();
}

void CpuTrainSession::Constrain() {
  for (const auto& transform : flow_->transforms()) {
    transform->Constrain(state_.parameters.span());
    if (state_.ema.size() > 0) transform->Constrain(state_.ema.span());
  }
}

absl::Status CpuTrainSession::LogProb(RowsView<const float> x, RowsView<const float> context,
                                      bool use_ema, std::span<double> log_prob,
                                      std::stop_token stop) {
  const bool averaged = use_ema && state_.ema.size() > 0;
  const ParameterValues average =
      averaged ? NormalisedWeights(flow_->layout(), state_.ema.span()) : ParameterValues();
  const Weights read = averaged ? Weights{average.data()} : weights();
  const std::int64_t blocks = (x.rows + most_rows_ - 1) / most_rows_;
  return lanes_.Run(blocks, stop, [&](std::int64_t b, Scratch& scratch) {
    const std::int64_t first = b * most_rows_;
    const int count = static_cast<int>(std::min<std::int64_t>(most_rows_, x.rows - first));
    Pass pass{.kernels = kernels_, .arena = scratch.arena, .weights = read};
    const Matrix block = LoadBlock(x, context, first, count, pass);
    const Vector log_p = scratch.arena.NewVector(count);
    flow_->LogProb(pass, block, log_p);
    std::copy_n(log_p.data, count, log_prob.data() + first);
  });
}

}  // namespace millrace
