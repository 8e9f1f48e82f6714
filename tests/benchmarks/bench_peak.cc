// SPDX-License-Identifier: Apache-2.0
// The peak of fused multiply-adds, against which bench_maf is held: independent chains in
// registers, one thread on each processor this process may use. Counter: GFLOP/s of all threads.
#include <benchmark/benchmark.h>

#include <algorithm>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/pack.h"

namespace millrace {
namespace {

constexpr int kChains = 12;  // a processor has at most four cycles' times two in flight
constexpr int kLength = 4096;

void FmaPeak(benchmark::State& state) {
  const Pack factor(0.5f), term(1.0f);
  Pack chains[kChains];
  std::fill_n(chains, kChains, factor);
  for (auto _ : state) {
    for (int i = 0; i < kLength; ++i)
      for (Pack& chain : chains) chain = chain * factor + term;
    benchmark::DoNotOptimize(chains);
  }
  const double flops = 2.0 * Pack::kWidth * kChains * kLength;
  state.counters["GFLOP/s"] = benchmark::Counter(
      1e-9 * flops * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

BENCHMARK(FmaPeak)->Threads(AvailableProcessors())->UseRealTime();

}  // namespace
}  // namespace millrace
