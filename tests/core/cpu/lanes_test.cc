// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/lanes.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <tbb/global_control.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stop_token>
#include <thread>
#include <vector>

#include "core/cpu/cpu_backend.h"

namespace millrace {
namespace {

// Whether `condition` came true; gives up after a while, so that a test fails and does not hang.
template <typename Condition>
bool WaitFor(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(LanesTest, RunEveryTaskOnce) {
  for (const int threads : {1, 2, 5}) {
    Lanes lanes(threads);
    for (const int count : {0, 1, 2, 100}) {
      std::vector<std::atomic<int>> runs(count);
      EXPECT_TRUE(lanes.Run(count, {}, [&](std::int64_t i, Scratch&) { ++runs[i]; }).ok());
      for (const auto& n : runs) EXPECT_EQ(n, 1);
    }
  }
}

TEST(LanesTest, ASingleTaskRunsOnTheCallersThread) {
  Lanes lanes(2);
  std::thread::id id;
  EXPECT_TRUE(
      lanes.Run(1, {}, [&](std::int64_t, Scratch&) { id = std::this_thread::get_id(); }).ok());
  EXPECT_EQ(id, std::this_thread::get_id());
}

TEST(LanesTest, OtherLanesThatAreTakenKeepNobodyWaiting) {
  Lanes training(2, Lanes::Priority::low), queries(2);
  std::atomic<int> begun{0};
  std::atomic<bool> answered{false};
  std::thread trainer([&] {
    (void)training.Run(2, {}, [&](std::int64_t, Scratch&) {
      ++begun;
      EXPECT_TRUE(WaitFor([&] { return answered.load(); }));
    });
  });
  EXPECT_TRUE(WaitFor([&] { return begun == (std::thread::hardware_concurrency() > 1 ? 2 : 1); }));
  EXPECT_TRUE(queries.Run(8, {}, [](std::int64_t, Scratch&) {}).ok());
  answered = true;
  trainer.join();
}

// On a machine of two processors oneTBB has one thread to give.
TEST(LanesTest, ThreadsLeaveLanesOfLowerPriority) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "oneTBB has no thread to give";
  Lanes one(2, Lanes::Priority::low), queries(2), other(2, Lanes::Priority::low);
  std::atomic<int> begun{0};
  std::stop_source enough;
  const auto train = [&](Lanes& lanes) {
    const auto task = [&](std::int64_t, Scratch&) {
      ++begun;
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    };
    EXPECT_TRUE(absl::IsCancelled(lanes.Run(1'000'000, enough.get_token(), task)));
  };
  std::thread trainer([&] { train(one); }), other_trainer([&] { train(other); });
  EXPECT_TRUE(WaitFor([&] { return begun > 100; }));
  std::mutex mutex;
  std::set<std::thread::id> ids;  // guarded by mutex
  const auto two_have_come = [&] {
    const std::lock_guard<std::mutex> lock(mutex);
    ids.insert(std::this_thread::get_id());
    return ids.size() == 2;
  };
  EXPECT_TRUE(
      queries.Run(2, {}, [&](std::int64_t, Scratch&) { EXPECT_TRUE(WaitFor(two_have_come)); })
          .ok());
  enough.request_stop();
  trainer.join();
  other_trainer.join();
}

// oneTBB counts processors once; those that the process may use since then are fewer.
TEST(LanesTest, ABackendOfAllProcessorsBoundsTheThreadsOfTheProcess) {
  const auto limit = [] {
    return tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism);
  };
  const std::size_t before = limit();
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&one);
  for (int i = 0; CPU_COUNT(&one) == 0; ++i)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  {
    const auto backend = CreateCpuBackend();
    EXPECT_EQ(limit(), 1);
  }
  EXPECT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
  const auto backend = CreateCpuBackend({.threads = 1});
  EXPECT_EQ(limit(), before);
}

}  // namespace
}  // namespace millrace
