// SPDX-License-Identifier: Apache-2.0
// How the time of a call grows: against its rows, for networks of two hidden layers of 100 and 43
// columns; and against columns times width, for networks of one hidden layer and 1024 rows.
// Arguments: hidden layers, their width, columns, batch. cost.py draws it.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <vector>

#include "tests/benchmarks/maf_case.h"

namespace millrace {
namespace {

template <void (MafCase::*run)()>
void Measure(benchmark::State& state) {
  MafCase maf(
      std::vector<int>(static_cast<std::size_t>(state.range(0)), static_cast<int>(state.range(1))),
      static_cast<int>(state.range(2)), state.range(3));
  for (auto _ : state) (maf.*run)();
}

void Cases(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"layers", "hidden", "dim", "batch"})
      ->ArgsProduct({{2}, {100}, {43}, benchmark::CreateRange(16, 65536, 2)})
      ->ArgsProduct({{1}, {64, 256, 1024}, {8, 32, 128, 512}, {1024}})
      ->UseRealTime();
}

BENCHMARK(Measure<&MafCase::LogProb>)->Name("LogProb")->Apply(Cases);
BENCHMARK(Measure<&MafCase::Sample>)->Name("Sample")->Apply(Cases);
BENCHMARK(Measure<&MafCase::TrainStep>)->Name("TrainStep")->Apply(Cases);

}  // namespace
}  // namespace millrace
