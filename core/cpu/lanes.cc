// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/lanes.h"

#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>

#include <atomic>
#include <utility>

#include "core/cpu/denormals.h"

namespace millrace {
namespace {

// The hand-over to TBB's threads, spelled out: TBB's own is in a library that sanitizers do not see
// into. Global, so that a thread finds it before it reads anything that was handed over; only ever
// added to, so that a load follows every earlier hand-over.
std::atomic<std::int64_t> hand_over{0};

}  // namespace

std::unique_ptr<Scratch> Lanes::Acquire() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Scratch> scratch = std::move(idle_.back());
      idle_.pop_back();
      return scratch;
    }
  }
  return std::make_unique<Scratch>();
}

void Lanes::Release(std::unique_ptr<Scratch> scratch) {
  scratch->arena.Reset();
  scratch->tape.Clear();
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_back(std::move(scratch));
}

absl::Status Lanes::Run(std::int64_t count, const std::stop_token& stop,
                        absl::FunctionRef<void(std::int64_t, Scratch&)> task) {
  std::atomic<std::int64_t> done{0};
  std::atomic<bool> cancelled{false};
  const auto run_one = [&](std::int64_t i) {
    if (stop.stop_requested()) {
      cancelled.store(true, std::memory_order_relaxed);
    } else {
      const FlushDenormals mode;
      std::unique_ptr<Scratch> scratch = Acquire();
      task(i, *scratch);
      Release(std::move(scratch));
    }
    done.fetch_add(1, std::memory_order_release);
  };
  if (count == 1 || threads_ == 1) {
    for (std::int64_t i = 0; i < count; ++i) run_one(i);
  } else if (count > 1) {
    const auto take_one = [&](std::int64_t i) {
      hand_over.load(std::memory_order_acquire);
      run_one(i);
    };
    // Runs on another thread when the arena has no place for this one.
    const auto run_all = [&] {
      hand_over.load(std::memory_order_acquire);
      tbb::parallel_for(std::int64_t{0}, count, take_one, tbb::simple_partitioner());
      done.fetch_add(0, std::memory_order_release);
    };
    hand_over.fetch_add(1, std::memory_order_release);
    arena_.execute(run_all);
  }
  done.load(std::memory_order_acquire);
  return cancelled ? absl::CancelledError("the computation was cancelled") : absl::OkStatus();
}

}  // namespace millrace
