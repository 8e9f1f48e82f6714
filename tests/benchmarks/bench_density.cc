// SPDX-License-Identifier: Apache-2.0
// What a density adds to its backend: the way from a caller's rows to the flow and back. Five
// autoregressive layers of two hidden layers of 100, 43 columns that are standardised; rows of
// doubles and floats. Backend: the flow alone, of rows that are standardised already. Argument:
// batch, or of LogProbMany and SampleMany, jobs of one row. Counter: rows/s.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/cpu/cpu_backend.h"
#include "core/math/uniform.h"
#include "core/score/density.h"

namespace millrace {
namespace {

constexpr int kColumns = 43;

std::shared_ptr<Model> NewModel() {
  auto model = std::make_shared<Model>();
  std::vector<Column> columns;
  for (int c = 0; c < kColumns; ++c)
    columns.push_back({.name = std::to_string(c), .center = 0.3 * c, .scale = 1.1 + 0.01 * c});
  model->columns = *ColumnModel::FromColumns(std::move(columns));
  model->spec = {
      .dim = kColumns, .seed = 1, .stack = StackSpec{.layers = 5, .hidden_sizes = {100, 100}}};
  model->parameters = (*Flow::Create(model->spec))->InitialParameters();
  return model;
}

struct Case {
  explicit Case(benchmark::State& benchmark_state)
      : state(benchmark_state),
        batch(state.range(0)),
        standardised(batch, kColumns),
        floats(batch, kColumns),
        doubles(batch, kColumns),
        log_prob(static_cast<std::size_t>(batch)),
        out_of_support(static_cast<std::size_t>(batch)) {
    const std::shared_ptr<Model> model = NewModel();
    weights = *backend->Upload(*Flow::Create(model->spec), model->parameters.span());
    density = *Density::Create(model, *backend);
    for (std::int64_t r = 0; r < batch; ++r) {
      for (int c = 0; c < kColumns; ++c) {
        const Column& column = model->columns.columns()[c];
        standardised(r, c) = static_cast<float>(4.0 * UniformAt(2, 1, r, c) - 2.0);
        doubles(r, c) = column.center + column.scale * static_cast<double>(standardised(r, c));
        floats(r, c) = static_cast<float>(doubles(r, c));
      }
    }
  }
  ~Case() {
    const auto rows = static_cast<double>(state.iterations()) * static_cast<double>(batch);
    state.counters["rows/s"] = benchmark::Counter(rows, benchmark::Counter::kIsRate);
  }

  benchmark::State& state;
  std::int64_t batch;
  std::unique_ptr<Backend> backend = CreateCpuBackend();
  std::shared_ptr<const DeviceWeights> weights;
  std::unique_ptr<const Density> density;
  Rows<float> standardised, floats;
  Rows<double> doubles;
  std::vector<double> log_prob;
  std::vector<std::uint8_t> out_of_support;
};

void BackendLogProb(benchmark::State& state) {
  Case c(state);
  for (auto _ : state)
    MILLRACE_CHECK(c.backend->LogProb(*c.weights, c.standardised.view(), {}, c.log_prob, {}).ok());
}

void LogProbOf(Case& c, const NumberRows& rows) {
  for (auto _ : c.state)
    MILLRACE_CHECK(
        c.density
            ->LogProb({.rows = rows, .log_prob = c.log_prob, .out_of_support = c.out_of_support})
            .ok());
}
void LogProbOfDoubles(benchmark::State& state) {
  Case c(state);
  LogProbOf(c, c.doubles.view());
}
void LogProbOfFloats(benchmark::State& state) {
  Case c(state);
  LogProbOf(c, c.floats.view());
}

void LogProbMany(benchmark::State& state) {
  Case c(state);
  std::vector<LogProbJob> jobs;
  for (std::int64_t r = 0; r < c.batch; ++r)
    jobs.push_back({.rows = NumberRows(c.doubles.view()).Slice(r, 1),
                    .log_prob = std::span(c.log_prob).subspan(r, 1),
                    .out_of_support = std::span(c.out_of_support).subspan(r, 1)});
  for (auto _ : state) benchmark::DoNotOptimize(c.density->LogProbMany(jobs));
}

void BackendSample(benchmark::State& state) {
  Case c(state);
  for (auto _ : state)
    MILLRACE_CHECK(
        c.backend->Sample(*c.weights, 1, 0, 1.0, {}, c.standardised.view(), {}, {}).ok());
}

void Sample(benchmark::State& state) {
  Case c(state);
  for (auto _ : state)
    MILLRACE_CHECK(c.density->Sample({.seed = 1, .rows = c.doubles.view()}).ok());
}

void SampleMany(benchmark::State& state) {
  Case c(state);
  std::vector<SampleJob> jobs;
  for (std::int64_t r = 0; r < c.batch; ++r)
    jobs.push_back({.seed = static_cast<std::uint64_t>(r), .rows = c.doubles.view().Slice(r, 1)});
  for (auto _ : state) benchmark::DoNotOptimize(c.density->SampleMany(jobs));
}

void Encode(benchmark::State& state) {
  Case c(state);
  Rows<double> latent(c.batch, kColumns);
  for (auto _ : state)
    MILLRACE_CHECK(c.density->Encode({.from = c.doubles.view(), .to = latent.view()}).ok());
}

void Batches(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("batch")->Arg(1)->Arg(256)->Arg(4096)->Arg(65536);
}
void Jobs(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("jobs")->Arg(1)->Arg(64);
}
void Common(benchmark::internal::Benchmark* benchmark) {
  benchmark->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(BackendLogProb)->Apply(Batches)->Arg(64)->Apply(Common);
BENCHMARK(LogProbOfDoubles)->Apply(Batches)->Arg(64)->Apply(Common);
BENCHMARK(LogProbOfFloats)->Apply(Batches)->Apply(Common);
BENCHMARK(LogProbMany)->Apply(Jobs)->Apply(Common);
BENCHMARK(BackendSample)->Apply(Batches)->Arg(64)->Apply(Common);
BENCHMARK(Sample)->Apply(Batches)->Apply(Common);
BENCHMARK(SampleMany)->Apply(Jobs)->Apply(Common);
BENCHMARK(Encode)->Apply(Batches)->Apply(Common);

}  // namespace
}  // namespace millrace
