// SPDX-License-Identifier: Apache-2.0
// Ten RealNVP couplings, and five autoregressive layers of rational-quadratic splines of 8 bins:
// log_prob, sample and a training step. Networks of two hidden layers of 100. Arguments: columns,
// batch. Counter: rows/s. TrainTextbook: the 3,201 steps on 512 points of the plane, with two
// couplings, of a textbook's first example.
#include <benchmark/benchmark.h>

#include <memory>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/cpu/cpu_backend.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

struct Case {
  Case(StackSpec stack, int dim, std::int64_t batch)
      : flow(*Flow::Create({.dim = dim, .seed = 1, .stack = std::move(stack)})),
        parameters(flow->InitialParameters()),
        weights(*backend->Upload(flow, parameters.span())),
        rows(batch, dim),
        log_prob(static_cast<std::size_t>(batch)) {
    for (std::int64_t r = 0; r < batch; ++r)
      for (int c = 0; c < dim; ++c)
        rows(r, c) = static_cast<float>(4.0 * UniformAt(2, 1, r, c) - 2.0);
  }
  Case(const benchmark::State& state, Architecture architecture)
      : Case({.architecture = architecture,
              .layers = architecture == Architecture::kRealNvp ? 10 : 5,
              .hidden_sizes = {100, 100},
              .bins = 8},
             static_cast<int>(state.range(0)), state.range(1)) {}

  std::unique_ptr<TrainSession> StartTraining() const {
    TrainState start;
    start.parameters = parameters;
    return *backend->StartTraining(flow, start);
  }

  void Count(benchmark::State& state) const {
    const auto done = static_cast<double>(state.iterations()) * static_cast<double>(rows.rows());
    state.counters["rows/s"] = benchmark::Counter(done, benchmark::Counter::kIsRate);
  }

  std::unique_ptr<Backend> backend = CreateCpuBackend();
  std::shared_ptr<const Flow> flow;
  ParameterValues parameters;
  std::shared_ptr<const DeviceWeights> weights;
  Rows<float> rows;
  std::vector<double> log_prob;
};

template <Architecture architecture>
void LogProb(benchmark::State& state) {
  Case c(state, architecture);
  for (auto _ : state)
    MILLRACE_CHECK(c.backend->LogProb(*c.weights, c.rows.view(), {}, c.log_prob, {}).ok());
  c.Count(state);
}

template <Architecture architecture>
void Sample(benchmark::State& state) {
  Case c(state, architecture);
  for (auto _ : state)
    MILLRACE_CHECK(c.backend->Sample(*c.weights, 1, 0, 1.0, {}, c.rows.view(), {}, {}).ok());
  c.Count(state);
}

// Gradient and Adam.
template <Architecture architecture>
void TrainStep(benchmark::State& state) {
  Case c(state, architecture);
  const auto session = c.StartTraining();
  for (auto _ : state) {
    benchmark::DoNotOptimize(session->ComputeGradient(c.rows.view(), {}));
    session->Step({.learning_rate = 1e-6});
  }
  c.Count(state);
}

void TrainTextbook(benchmark::State& state) {
  const Case c({.architecture = Architecture::kRealNvp, .layers = 2, .hidden_sizes = {64, 64}}, 2,
               512);
  for (auto _ : state) {
    const auto session = c.StartTraining();
    for (int step = 0; step < 3201; ++step) {
      benchmark::DoNotOptimize(session->ComputeGradient(c.rows.view(), {}));
      session->Step({.learning_rate = 1e-3});
    }
  }
}

void Cases(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"dim", "batch"})
      ->ArgsProduct({{6, 21, 43, 63}, {1, 32, 256, 4096}})
      ->UseRealTime()
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(LogProb<Architecture::kRealNvp>)->Apply(Cases)->Name("LogProb/RealNVP");
BENCHMARK(Sample<Architecture::kRealNvp>)->Apply(Cases)->Name("Sample/RealNVP");
BENCHMARK(TrainStep<Architecture::kRealNvp>)->Apply(Cases)->Name("TrainStep/RealNVP");
BENCHMARK(LogProb<Architecture::kNsfAutoregressive>)->Apply(Cases)->Name("LogProb/NsfAr");
BENCHMARK(Sample<Architecture::kNsfAutoregressive>)->Apply(Cases)->Name("Sample/NsfAr");
BENCHMARK(TrainStep<Architecture::kNsfAutoregressive>)->Apply(Cases)->Name("TrainStep/NsfAr");
BENCHMARK(TrainTextbook)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace
