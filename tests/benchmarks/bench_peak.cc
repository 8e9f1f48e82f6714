// SPDX-License-Identifier: Apache-2.0
// What bench_maf is held against. FmaPeak: fused multiply-adds in independent chains in registers,
// one thread on each processor this process may use. Counter: GFLOP/s of all threads. Read: one
// thread that reads so many kilobytes over and over, from the smallest cache that holds them, as a
// row alone reads its weights. Counter: GB/s.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>

#include "core/base/aligned_buffer.h"
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

void Read(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0)) * 1000 / sizeof(float);
  constexpr std::size_t kStep = kChains * Pack::kWidth;
  AlignedBuffer<float> values(size);
  std::fill_n(values.data(), size, 1.0f);
  Pack sums[kChains];
  std::fill_n(sums, kChains, Pack(0.0f));
  for (auto _ : state) {
    for (std::size_t i = 0; i + kStep <= size; i += kStep)
      for (int c = 0; c < kChains; ++c)
        sums[c] = sums[c] + Pack::Load(values.data() + i + c * Pack::kWidth);
    benchmark::DoNotOptimize(sums);
  }
  state.counters["GB/s"] = benchmark::Counter(
      1e-9 * static_cast<double>(size * sizeof(float)) * static_cast<double>(state.iterations()),
      benchmark::Counter::kIsRate);
}

// The weights of a row of five layers of [100, 100] at 43 columns, and of [512, 512] at 63.
BENCHMARK(Read)->ArgName("kB")->Arg(230)->Arg(3600);

}  // namespace
}  // namespace millrace
