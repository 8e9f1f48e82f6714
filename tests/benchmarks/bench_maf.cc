// SPDX-License-Identifier: Apache-2.0
// Masked autoregressive flows: log_prob, sample and a training step. Arguments: hidden width (two
// hidden layers of it, five autoregressive layers), columns, batch. Counters: rows/s, and GFLOP/s
// of the multiplications and additions that the masks leave.
#include <benchmark/benchmark.h>

#include <cmath>
#include <memory>
#include <vector>

#include "core/base/check.h"
#include "core/conditioners/made.h"
#include "core/cpu/cpu_backend.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

// A flow with random weights: nothing is zero that training would not leave zero.
struct Case {
  explicit Case(const benchmark::State& state)
      : hidden(static_cast<int>(state.range(0))),
        dim(static_cast<int>(state.range(1))),
        rows(state.range(2), dim),
        log_prob(static_cast<std::size_t>(state.range(2))) {
    FlowSpec spec{
        .dim = dim, .seed = 1, .stack = StackSpec{.layers = 5, .hidden_sizes = {hidden, hidden}}};
    flow = *Flow::Create(spec);
    parameters = flow->InitialParameters();
    for (const ParameterLayout::Entry& entry : flow->layout().entries())
      if (entry.name.find("output.weight") != std::string::npos)
        for (int o = 0; o < entry.slice.rows; ++o)
          for (int i = 0; i < UsedInputs(o); ++i)
            parameters[entry.slice.offset + static_cast<std::size_t>(o) * entry.slice.ld + i] =
                static_cast<float>((UniformAt(3, 1, o, i) - 0.5) * 0.2 / std::sqrt(hidden));
    weights = *backend->Upload(flow, parameters.span());
    for (std::int64_t r = 0; r < rows.rows(); ++r)
      for (int c = 0; c < dim; ++c)
        rows(r, c) = static_cast<float>(4.0 * UniformAt(2, 1, r, c) - 2.0);
  }

  int UsedInputs(int output) const {
    int used = 0;
    for (int degree : Degrees()) used += degree <= output / 2;
    return used;
  }
  std::vector<int> Degrees() const { return Made::Degrees(hidden, dim, 0); }

  // Multiplications that the masks leave, one row.
  double Products() const {
    double products = 0.0;
    const std::vector<int> degrees = Degrees();
    for (int a : degrees) {
      products += a;
      for (int b : degrees) products += b <= a;
    }
    for (int o = 0; o < 2 * dim; ++o) products += UsedInputs(o);
    return 5.0 * products;
  }

  void Count(benchmark::State& state, double passes) const {
    const auto done = static_cast<double>(state.iterations()) * static_cast<double>(rows.rows());
    state.counters["rows/s"] = benchmark::Counter(done, benchmark::Counter::kIsRate);
    state.counters["GFLOP/s"] =
        benchmark::Counter(done * passes * 2e-9 * Products(), benchmark::Counter::kIsRate);
  }

  int hidden, dim;
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
  c.Count(state, 1.0);
}

void Sample(benchmark::State& state) {
  Case c(state);
  for (auto _ : state)
    MILLRACE_CHECK(c.backend->Sample(*c.weights, 1, 0, 1.0, {}, c.rows.view(), {}, {}).ok());
  c.Count(state, 1.0);
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
  c.Count(state, 3.0);
}

void Cases(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"hidden", "dim", "batch"})
      ->ArgsProduct({{100, 512}, {6, 21, 43, 63}, {1, 32, 256, 4096}})
      ->UseRealTime()
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(LogProb)->Apply(Cases);
BENCHMARK(Sample)->Apply(Cases);
BENCHMARK(TrainStep)->Apply(Cases);

}  // namespace
}  // namespace millrace
