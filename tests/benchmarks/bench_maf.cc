// SPDX-License-Identifier: Apache-2.0
// Masked autoregressive flows: log_prob, both directions, sample and a training step, on the
// processors this process may use. Arguments: hidden width (two hidden layers of it), columns,
// batch. Counters: rows/s, and GFLOP/s of the multiplications and additions that the masks leave;
// training counts as three passes.
#include <benchmark/benchmark.h>

#include "tests/benchmarks/maf_case.h"

namespace millrace {
namespace {

template <void (MafCase::*run)(), int passes>
void Measure(benchmark::State& state) {
  const int hidden = static_cast<int>(state.range(0));
  MafCase maf({hidden, hidden}, static_cast<int>(state.range(1)), state.range(2));
  for (auto _ : state) (maf.*run)();
  const double rows = static_cast<double>(state.iterations() * maf.rows());
  const double flops = 2.0 * passes * maf.Products();
  state.counters["rows/s"] = benchmark::Counter(rows, benchmark::Counter::kIsRate);
  state.counters["GFLOP/s"] = benchmark::Counter(1e-9 * rows * flops, benchmark::Counter::kIsRate);
}

void Cases(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"hidden", "dim", "batch"})
      ->ArgsProduct({{100, 512}, {6, 21, 43, 63}, {1, 32, 256, 4096}})
      ->UseRealTime()
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(Measure<&MafCase::LogProb, 1>)->Name("LogProb")->Apply(Cases);
BENCHMARK(Measure<&MafCase::Forward, 1>)->Name("Forward")->Apply(Cases);
BENCHMARK(Measure<&MafCase::Inverse, 1>)->Name("Inverse")->Apply(Cases);
BENCHMARK(Measure<&MafCase::Sample, 1>)->Name("Sample")->Apply(Cases);
BENCHMARK(Measure<&MafCase::TrainStep, 3>)->Name("TrainStep")->Apply(Cases);

}  // namespace
}  // namespace millrace
