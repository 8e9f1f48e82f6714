// SPDX-License-Identifier: Apache-2.0
// Glow on images of 28 x 28: log_prob, sample and a training step. Arguments: levels, steps of a
// level, channels of the networks' hidden layers, batch. Counter: images/s.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "core/base/check.h"
#include "core/cpu/cpu_backend.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

constexpr ImageShape kShape{28, 28, 1};
constexpr int kDim = 28 * 28;

struct Case {
  explicit Case(const benchmark::State& state)
      : flow(*Flow::Create({.dim = kDim, .seed = 1, .image = kShape, .stack = Glow(state)})),
        parameters(flow->InitialParameters()),
        weights(*backend->Upload(flow, parameters.span())),
        rows(state.range(3), kDim),
        log_prob(static_cast<std::size_t>(state.range(3))) {
    for (std::int64_t r = 0; r < rows.rows(); ++r)
      for (int c = 0; c < kDim; ++c)
        rows(r, c) = static_cast<float>(4.0 * UniformAt(2, 1, r, c) - 2.0);
  }

  static StackSpec Glow(const benchmark::State& state) {
    const auto width = static_cast<int>(state.range(2));
    return {.architecture = Architecture::kGlow,
            .layers = static_cast<int>(state.range(1)),
            .hidden_sizes = {width, width},
            .levels = static_cast<int>(state.range(0))};
  }

  void Count(benchmark::State& state) const {
    const auto done = static_cast<double>(state.iterations()) * static_cast<double>(rows.rows());
    state.counters["images/s"] = benchmark::Counter(done, benchmark::Counter::kIsRate);
  }

  std::unique_ptr<Backend> backend = CreateCpuBackend();
  std::shared_ptr<const Flow> flow;
  ParameterValues parameters;
  std::shared_ptr<const DeviceWeights> weights;
  Rows<float> rows;
  std::vector<double> log_prob;
};

void LogProb(benchmark::State& state) {
  Case c(state);
  for (auto _ : state)
    MILLRACE_CHECK(c.backend->LogProb(*c.weights, c.rows.view(), {}, c.log_prob, {}).ok());
  c.Count(state);
}

void Sample(benchmark::State& state) {
  Case c(state);
  for (auto _ : state)
    MILLRACE_CHECK(c.backend->Sample(*c.weights, 1, 0, 1.0, {}, c.rows.view(), {}, {}).ok());
  c.Count(state);
}

// Gradient and Adam.
void TrainStep(benchmark::State& state) {
  Case c(state);
  TrainState start;
  start.parameters = c.parameters;
  const auto session = *c.backend->StartTraining(c.flow, start);
  for (auto _ : state) {
    benchmark::DoNotOptimize(session->ComputeGradient(c.rows.view(), {}));
    session->Step({.learning_rate = 1e-6});
  }
  c.Count(state);
}

void Cases(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"levels", "depth", "width", "batch"})
      ->ArgsProduct({{2}, {16}, {128}, {1, 64, 256}})
      ->ArgsProduct({{2}, {4}, {64}, {1, 64, 256}})
      ->UseRealTime()
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMillisecond);
}

BENCHMARK(LogProb)->Apply(Cases);
BENCHMARK(Sample)->Apply(Cases);
BENCHMARK(TrainStep)->Apply(Cases);

}  // namespace
}  // namespace millrace
