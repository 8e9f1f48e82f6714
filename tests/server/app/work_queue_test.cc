// SPDX-License-Identifier: Apache-2.0
#include "server/app/work_queue.h"

#include <atomic>
#include <future>
#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/server/support/own_status.h"

namespace millrace {
namespace {

TEST(WorkQueueRules, AdmissionTable) {
  constexpr QueueLimits kLimits{.max_items = 3, .max_rows = 100};
  struct Case {
    QueueLoad load;
    std::int64_t rows;
    bool admitted;
  };
  const Case cases[] = {
      {{0, 0}, 1, true},   {{0, 0}, 100, true},  {{0, 0}, 5000, true},  // an empty queue takes any
      {{1, 60}, 40, true}, {{1, 60}, 41, false}, {{2, 100}, 0, true},   {{2, 100}, 1, false},
      {{3, 3}, 1, false},  {{3, 3}, 0, false},   {{1, 5000}, 1, false},
  };
  for (const Case& test : cases) {
    const absl::Status status = CheckAdmission(kLimits, test.load, test.rows);
    EXPECT_EQ(status.ok(), test.admitted)
        << test.load.items << " " << test.load.rows << " " << test.rows;
    if (!test.admitted) {
      EXPECT_TRUE(absl::IsUnavailable(status));
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

WorkItem Reporting(std::promise<absl::Status>& result, std::int64_t rows = 1) {
  return {.rows = rows, .run = [&result](const absl::Status& status, absl::Duration) {
            result.set_value(OwnStatus(status));
          }};
}

TEST(WorkQueue, RunsEveryItemOnceOnManyThreads) {
  Metrics metrics;
  std::atomic<int> ran{0};
  {
    WorkQueue queue({.max_items = 10'000, .max_rows = 10'000}, 4, metrics);
    std::vector<std::thread> producers;
    for (int p = 0; p < 4; ++p) {
      producers.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          EXPECT_TRUE(queue
                          .Submit({.rows = 1,
                                   .run = [&ran](const absl::Status&,
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
  WorkQueue queue({.max_items = 2, .max_rows = 100}, 1, metrics);
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
