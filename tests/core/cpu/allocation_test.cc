// SPDX-License-Identifier: Apache-2.0
// After its first use the processor's backend takes no memory for rows or steps: this program
// counts what operator new is asked for.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/math/uniform.h"
#include "core/score/density.h"

namespace {

std::atomic<std::int64_t> allocations{0};

void* Allocate(std::size_t bytes, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment;
  void* const memory = std::aligned_alloc(alignment, rounded * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}

// Not inlined: GCC would find free() where it expects operator delete.
[[gnu::noinline]] void Release(void* memory) { std::free(memory); }

}  // namespace

void* operator new(std::size_t bytes) { return Allocate(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return Allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { Release(memory); }
void operator delete(void* memory, std::size_t) noexcept { Release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { Release(memory); }

namespace millrace {
namespace {

constexpr int kDim = 7;
constexpr std::int64_t kFew = 200;  // two blocks
constexpr std::int64_t kMany = 8000;

class AllocationTest : public testing::TestWithParam<int> {
 protected:
  AllocationTest() : x_(kMany, kDim), out_(kMany, kDim), terms_(kMany, kDim), values_(kMany) {
    const StackSpec maf{.layers = 3,
                        .hidden_sizes = {24, 24, 24},
                        .residual = true,
                        .mixing = Mixing::kNone,
                        .act_norm = true,
                        .whiten = true};
    flow_ = *Flow::Create({.dim = kDim, .seed = 5, .stack = maf});
    for (std::int64_t r = 0; r < kMany; ++r)
      for (int c = 0; c < kDim; ++c)
        x_(r, c) = static_cast<float>(UniformAt(1, 1, static_cast<std::uint64_t>(r), c) - 0.5);
    weights_ = *backend_->Upload(flow_, flow_->InitialParameters().span());
  }

  // The least number of allocations of one call after a few: which thread comes to take part, and
  // when, is up to the scheduler.
  static std::int64_t LeastOf(const std::function<void()>& call) {
    for (int i = 0; i < 3; ++i) call();
    std::int64_t least = INT64_MAX;
    for (int i = 0; i < 10; ++i) {
      const std::int64_t before = allocations.load();
      call();
      least = std::min(least, allocations.load() - before);
    }
    return least;
  }

  // `call(rows)` takes as much for many rows as for few: what it takes to begin.
  void ExpectNoneByRow(const char* name, const std::function<void(std::int64_t)>& call) {
    const std::int64_t few = LeastOf([&] { call(kFew); });
    const std::int64_t many = LeastOf([&] { call(kMany); });
    EXPECT_EQ(few, many) << name;
    EXPECT_LE(few, 8) << name;
  }

  std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = GetParam()});
  std::shared_ptr<const Flow> flow_;
  std::shared_ptr<const DeviceWeights> weights_;
  Rows<float> x_;
  Rows<float> out_;
  Rows<double> terms_;
  std::vector<double> values_;
};

TEST_P(AllocationTest, TheCounterCounts) {
  EXPECT_EQ(LeastOf([] { delete new int(1); }), 1);
  EXPECT_EQ(LeastOf([] { AlignedBuffer<float> buffer(100); }), 1);
}

TEST_P(AllocationTest, QueriesTakeNoneByRow) {
  const auto values = [&](std::int64_t n) { return std::span(values_.data(), n); };
  ExpectNoneByRow("LogProb", [&](std::int64_t n) {
    ASSERT_TRUE(backend_->LogProb(*weights_, x_.view().Slice(0, n), {}, values(n), {}).ok());
  });
  ExpectNoneByRow("Sample", [&](std::int64_t n) {
    ASSERT_TRUE(
        backend_->Sample(*weights_, 1, 0, 1.0, {}, out_.view().Slice(0, n), values(n), {}).ok());
  });
  ExpectNoneByRow("Forward", [&](std::int64_t n) {
    ASSERT_TRUE(
        backend_
            ->Forward(*weights_, x_.view().Slice(0, n), {}, out_.view().Slice(0, n), values(n), {})
            .ok());
  });
  ExpectNoneByRow("ChainTerms", [&](std::int64_t n) {
    ASSERT_TRUE(
        backend_->ChainTerms(*weights_, x_.view().Slice(0, n), {}, terms_.view().Slice(0, n), {})
            .ok());
  });
}

// Densities read, check and standardise block by block.
TEST_P(AllocationTest, DensitiesTakeNoneByRow) {
  auto model = std::make_shared<Model>();
  std::vector<Column> columns;
  for (int c = 0; c < kDim; ++c) columns.push_back({.name = std::to_string(c), .scale = 2.0});
  model->columns = *ColumnModel::FromColumns(std::move(columns));
  model->spec = flow_->spec();
  model->parameters = flow_->InitialParameters();
  const auto density = *Density::Create(model, *backend_);
  std::vector<std::uint8_t> outside(kMany);
  ExpectNoneByRow("LogProb of a density", [&](std::int64_t n) {
    ASSERT_TRUE(density
                    ->LogProb({.rows = x_.view().Slice(0, n),
                               .log_prob = std::span(values_.data(), n),
                               .out_of_support = std::span(outside.data(), n)})
                    .ok());
  });
  ExpectNoneByRow("Sample of a density", [&](std::int64_t n) {
    ASSERT_TRUE(density->Sample({.seed = 1, .rows = terms_.view().Slice(0, n)}).ok());
  });
}

TEST_P(AllocationTest, TrainingTakesNoneByRow) {
  TrainState state;
  state.parameters = flow_->InitialParameters();
  const auto session = *backend_->StartTraining(flow_, state);
  ExpectNoneByRow("a training step", [&](std::int64_t n) {
    session->ComputeGradient(x_.view().Slice(0, n), {});
    session->Step({.learning_rate = 1e-4, .ema_decay = 0.9});
  });
  ExpectNoneByRow("LogProb of a session", [&](std::int64_t n) {
    ASSERT_TRUE(session
                    ->LogProb(x_.view().Slice(0, n), {}, true,
                              std::span(values_.data(), static_cast<std::size_t>(n)), {})
                    .ok());
  });
}

INSTANTIATE_TEST_SUITE_P(Threads, AllocationTest, testing::Values(1, 2),
                         [](const auto& tested) { return std::to_string(tested.param); });

}  // namespace
}  // namespace millrace
