// SPDX-License-Identifier: Apache-2.0
#include "server/app/work_queue.h"

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/server/support/own_status.h"

namespace millrace {
namespace {

TEST(WorkQueueRules, AdmissionTable) {
  constexpr QueueLimits kLimits{.max_items = 3, .max_cost = {.evaluations = 100, .bytes = 1000}};
  struct Case {
    QueueLoad load;
    WorkCost cost;
    std::string full;  // the flag that refuses; empty where admitted
  };
  const std::string evaluations = "--max_queue_evaluations";
  const std::string bytes = "--max_queue_bytes";
  const Case cases[] = {
      {{0, {0, 0}}, {1, 1}, ""},
      {{0, {0, 0}}, {5000, 5000}, ""},  // an empty queue takes any
      {{1, {60, 0}}, {40, 0}, ""},
      {{1, {60, 0}}, {41, 0}, evaluations},
      {{2, {100, 0}}, {0, 0}, ""},
      {{2, {100, 0}}, {1, 0}, evaluations},
      {{1, {5000, 0}}, {1, 0}, evaluations},
      {{1, {0, 600}}, {0, 400}, ""},
      {{1, {0, 600}}, {0, 401}, bytes},
      {{1, {0, 5000}}, {0, 1}, bytes},
      {{3, {3, 3}}, {0, 0}, "--max_queue_requests"},
  };
  for (const Case& test : cases) {
    const absl::Status status = CheckAdmission(kLimits, test.load, test.cost);
    SCOPED_TRACE(testing::Message() << test.load.items << " " << test.load.cost.evaluations << " "
                                    << test.cost.evaluations << " " << test.cost.bytes);
    if (test.full.empty()) {
      EXPECT_TRUE(status.ok()) << status;
    } else {
      EXPECT_TRUE(absl::IsUnavailable(status)) << status;
      EXPECT_NE(status.message().find("(" + test.full + ")"), absl::string_view::npos) << status;
    }
  }
}

TEST(WorkQueueRules, StillWantedTable) {
  const absl::Time now = absl::FromUnixSeconds(1000);
  const absl::Duration second = absl::Seconds(1);
  EXPECT_TRUE(CheckStillWanted(now, now + second, false).ok());
  EXPECT_TRUE(CheckStillWanted(now, absl::InfiniteFuture(), false).ok());
  EXPECT_TRUE(absl::IsCancelled(CheckStillWanted(now, now + second, true)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(CheckStillWanted(now, now, false)));
  // A deadline that passes also requests the stop: it is the deadline that counts.
  EXPECT_TRUE(absl::IsDeadlineExceeded(CheckStillWanted(now, now - second, true)));
}

// Keeps the only worker of a queue busy until it is released.
class Blocker {
 public:
  explicit Blocker(WorkQueue& queue) {
    WorkItem item{.run = [started = &started_, gate = gate_.get_future().share()](
                             const absl::Status&, absl::Duration) {
      started->set_value();
      gate.wait();
    }};
    EXPECT_TRUE(queue.Submit(std::move(item)).ok());
    started_.get_future().wait();
  }
  void Release() { gate_.set_value(); }

 private:
  std::promise<void> started_;
  std::promise<void> gate_;
};

WorkItem Reporting(std::promise<absl::Status>& result, const WorkCost& cost = {1, 1}) {
  return {.cost = cost, .run = [&result](const absl::Status& status, absl::Duration) {
            result.set_value(OwnStatus(status));
          }};
}

TEST(WorkQueue, RunsEveryItemOnceOnManyThreads) {
  Metrics metrics;
  std::atomic<int> ran{0};
  {
    WorkQueue queue({.max_items = 10'000}, 4, metrics);
    std::vector<std::thread> producers;
    for (int p = 0; p < 4; ++p) {
      producers.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          EXPECT_TRUE(queue
                          .Submit({.run = [&ran](const absl::Status&,
                                                 absl::Duration) { ran.fetch_add(1); }})
                          .ok());
        }
      });
    }
    for (std::thread& producer : producers) producer.join();
  }
  EXPECT_EQ(ran.load(), 800);
}

TEST(WorkQueue, RefusesWhenFullAndTakesAgainAfterwards) {
  Metrics metrics;
  WorkQueue queue({.max_items = 2}, 1, metrics);
  Blocker blocker(queue);
  std::promise<absl::Status> first, second, third;
  EXPECT_TRUE(queue.Submit(Reporting(first)).ok());
  EXPECT_TRUE(queue.Submit(Reporting(second)).ok());
  EXPECT_TRUE(absl::IsUnavailable(queue.Submit(Reporting(third))));
  WorkItem admitted = Reporting(third);
  admitted.admitted = true;
  EXPECT_TRUE(queue.Submit(std::move(admitted)).ok());
  blocker.Release();
  EXPECT_TRUE(first.get_future().get().ok());
  EXPECT_TRUE(second.get_future().get().ok());
  EXPECT_TRUE(third.get_future().get().ok());
}

TEST(WorkQueue, WhatWaitsCountsUntilItRuns) {
  Metrics metrics;
  WorkQueue queue({.max_items = 10, .max_cost = {.evaluations = 10, .bytes = 100}}, 1, metrics);
  for (const WorkCost& whole : {WorkCost{10, 0}, WorkCost{0, 100}}) {
    Blocker blocker(queue);
    std::promise<absl::Status> first, second, third;
    EXPECT_TRUE(queue.Submit(Reporting(first, whole)).ok());
    EXPECT_TRUE(absl::IsUnavailable(queue.Submit(Reporting(second, whole))));
    blocker.Release();
    EXPECT_TRUE(first.get_future().get().ok());
    Blocker next(queue);
    EXPECT_TRUE(queue.Submit(Reporting(second, {})).ok());  // no longer empty, but nothing counts
    EXPECT_TRUE(queue.Submit(Reporting(third, whole)).ok());
    next.Release();
    EXPECT_TRUE(third.get_future().get().ok());
  }
}

TEST(WorkQueue, DropsWhatIsTooLateOrNotWanted) {
  Metrics metrics;
  WorkQueue queue({}, 1, metrics);
  Blocker blocker(queue);
  std::promise<absl::Status> late, cancelled;
  WorkItem late_item = Reporting(late);
  late_item.deadline = absl::Now() + absl::Milliseconds(5);
  std::stop_source stop;
  WorkItem cancelled_item = Reporting(cancelled);
  cancelled_item.stop = stop.get_token();
  EXPECT_TRUE(queue.Submit(std::move(late_item)).ok());
  EXPECT_TRUE(queue.Submit(std::move(cancelled_item)).ok());
  stop.request_stop();
  absl::SleepFor(absl::Milliseconds(10));
  blocker.Release();
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.get_future().get()));
  EXPECT_TRUE(absl::IsCancelled(cancelled.get_future().get()));
}

TEST(WorkQueue, DrainsThenDropsTheRest) {
  Metrics metrics;
  auto queue = std::make_unique<WorkQueue>(QueueLimits{}, 1, metrics);
  Blocker blocker(*queue);
  std::promise<absl::Status> waiting, refused;
  EXPECT_TRUE(queue->Submit(Reporting(waiting)).ok());
  queue->Drain();
  EXPECT_TRUE(absl::IsUnavailable(queue->Submit(Reporting(refused))));
  std::thread shutdown([&] { queue->Shutdown(); });
  absl::SleepFor(absl::Milliseconds(20));  // the queue is closed while its worker is still busy
  blocker.Release();
  EXPECT_TRUE(absl::IsUnavailable(waiting.get_future().get()));
  shutdown.join();
}

}  // namespace
}  // namespace millrace
