// SPDX-License-Identifier: Apache-2.0
#include "server/app/work_queue.h"

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/server/support/own_status.h"

namespace millrace {
namespace {

TEST(WorkQueueRules, AdmissionTable) {
  constexpr QueueLimits kLimits{.max_queries = 3, .max_cost = {.evaluations = 100, .bytes = 1000}};
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
    SCOPED_TRACE(testing::Message() << test.load.queries << " " << test.load.cost.evaluations << " "
                                    << test.cost.evaluations << " " << test.cost.bytes);
    if (test.full.empty()) {
      EXPECT_TRUE(status.ok()) << status;
    } else {
      EXPECT_TRUE(absl::IsUnavailable(status)) << status;
      EXPECT_NE(status.message().find("(" + test.full + ")"), absl::string_view::npos) << status;
    }
  }
}

ModelHandle SomeModel() {
  static const auto* const model = new ModelHandle(std::make_shared<ServedModel>(
      ServedModel{.name = "moons", .version = 1, .state = absl::OkStatus(), .density = nullptr}));
  return *model;
}

Query QueryThat(std::function<void()> compute, std::function<void(const absl::Status&)> done) {
  return {.model = SomeModel(),
          .compute =
              [compute = std::move(compute)] {
                compute();
                return absl::OkStatus();
              },
          .done = std::move(done)};
}

// Keeps the only worker of a queue busy until it is released.
class Blocker {
 public:
  explicit Blocker(WorkQueue& queue) {
    queue.Submit(QueryThat(
        [started = &started_, gate = gate_.get_future().share()] {
          started->set_value();
          gate.wait();
        },
        [](const absl::Status&) {}));
    started_.get_future().wait();
  }
  void Release() { gate_.set_value(); }

 private:
  std::promise<void> started_;
  std::promise<void> gate_;
};

Query Reporting(std::promise<absl::Status>& result, const WorkCost& cost = {1, 1}) {
  Query query = QueryThat(
      [] {}, [&result](const absl::Status& status) { result.set_value(OwnStatus(status)); });
  query.cost = cost;
  return query;
}

TEST(WorkQueue, RunsEveryQueryOnceOnManyThreads) {
  Metrics metrics;
  std::atomic<int> ran{0}, done{0};
  {
    WorkQueue queue({.max_queries = 10'000}, {}, 4, metrics);
    std::vector<std::thread> producers;
    for (int p = 0; p < 4; ++p) {
      producers.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          queue.Submit(QueryThat([&] { ran.fetch_add(1); },
                                 [&](const absl::Status&) { done.fetch_add(1); }));
        }
      });
    }
    for (std::thread& producer : producers) producer.join();
  }
  EXPECT_EQ(done.load(), 800);
  EXPECT_LE(ran.load(), 800);  // what was left at the end was dropped
}

TEST(WorkQueue, RefusesWhenFullAndTakesAgainAfterwards) {
  Metrics metrics;
  WorkQueue queue({.max_queries = 2}, {}, 1, metrics);
  Blocker blocker(queue);
  std::promise<absl::Status> first, second, third, fourth;
  queue.Submit(Reporting(first));
  queue.Submit(Reporting(second));
  queue.Submit(Reporting(third));
  EXPECT_TRUE(absl::IsUnavailable(third.get_future().get()));
  Query admitted = Reporting(fourth);
  admitted.admitted = true;
  queue.Submit(std::move(admitted));
  blocker.Release();
  EXPECT_TRUE(first.get_future().get().ok());
  EXPECT_TRUE(second.get_future().get().ok());
  EXPECT_TRUE(fourth.get_future().get().ok());
}

TEST(WorkQueue, WhatWaitsCountsUntilItRuns) {
  Metrics metrics;
  WorkQueue queue({.max_queries = 10, .max_cost = {.evaluations = 10, .bytes = 100}}, {}, 1,
                  metrics);
  for (const WorkCost& whole : {WorkCost{10, 0}, WorkCost{0, 100}}) {
    Blocker blocker(queue);
    std::promise<absl::Status> first, second, third, fourth;
    queue.Submit(Reporting(first, whole));
    queue.Submit(Reporting(second, whole));
    EXPECT_TRUE(absl::IsUnavailable(second.get_future().get()));
    blocker.Release();
    EXPECT_TRUE(first.get_future().get().ok());
    Blocker next(queue);
    queue.Submit(Reporting(third, {}));  // no longer empty, but nothing counts
    queue.Submit(Reporting(fourth, whole));
    next.Release();
    EXPECT_TRUE(third.get_future().get().ok());
    EXPECT_TRUE(fourth.get_future().get().ok());
  }
}

TEST(WorkQueue, DropsWhatIsTooLateOrNotWanted) {
  Metrics metrics;
  WorkQueue queue({}, {}, 1, metrics);
  Blocker blocker(queue);
  std::promise<absl::Status> late, cancelled;
  Query late_query = Reporting(late);
  late_query.deadline = absl::Now() + absl::Milliseconds(5);
  std::stop_source stop;
  Query cancelled_query = Reporting(cancelled);
  cancelled_query.stop = stop.get_token();
  queue.Submit(std::move(late_query));
  queue.Submit(std::move(cancelled_query));
  stop.request_stop();
  absl::SleepFor(absl::Milliseconds(10));
  blocker.Release();
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.get_future().get()));
  EXPECT_TRUE(absl::IsCancelled(cancelled.get_future().get()));
}

TEST(WorkQueue, DrainsThenDropsTheRest) {
  Metrics metrics;
  auto queue = std::make_unique<WorkQueue>(QueueLimits{}, BatchLimits{}, 1, metrics);
  Blocker blocker(*queue);
  std::promise<absl::Status> waiting, refused;
  queue->Submit(Reporting(waiting));
  queue->Drain();
  queue->Submit(Reporting(refused));
  EXPECT_TRUE(absl::IsUnavailable(refused.get_future().get()));
  std::thread shutdown([&] { queue->Shutdown(); });
  absl::SleepFor(absl::Milliseconds(20));  // the queue is closed while its worker is still busy
  blocker.Release();
  EXPECT_TRUE(absl::IsUnavailable(waiting.get_future().get()));
  shutdown.join();
}

TEST(WorkQueue, ComputesHereWhateverWaitsUntilItDrains) {
  Metrics metrics;
  WorkQueue queue({.max_queries = 1}, {}, 1, metrics);
  Blocker blocker(queue);
  std::promise<absl::Status> waiting, here, late, refused;
  queue.Submit(Reporting(waiting));
  std::thread::id computed_by;
  queue.ComputeHere(QueryThat([&] { computed_by = std::this_thread::get_id(); },
                              [&](const absl::Status& status) { here.set_value(status); }));
  EXPECT_TRUE(here.get_future().get().ok());
  EXPECT_EQ(computed_by, std::this_thread::get_id());
  Query late_query = Reporting(late);
  late_query.deadline = absl::Now() - absl::Milliseconds(1);
  queue.ComputeHere(std::move(late_query));
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.get_future().get()));
  queue.Drain();
  queue.ComputeHere(Reporting(refused));
  EXPECT_TRUE(absl::IsUnavailable(refused.get_future().get()));
  blocker.Release();
  EXPECT_TRUE(waiting.get_future().get().ok());
}

// What a test says of a query, and hears: how many were computed with it.
struct Counted {
  int together = 0;
  bool bad = false;
  bool throws = false;
  std::stop_source stop;
  std::promise<absl::Status> result;
};

struct CountingPart final : BatchPart {
  explicit CountingPart(Counted* c) : counted(c) {}
  Counted* counted;
};

std::vector<absl::Status> CountTogether(const ServedModel&, std::span<BatchPart* const> parts) {
  std::vector<absl::Status> statuses;
  for (BatchPart* const part : parts) {
    Counted& counting = *static_cast<CountingPart&>(*part).counted;
    if (counting.throws) throw std::bad_alloc();
    counting.together = static_cast<int>(parts.size());
    statuses.push_back(counting.bad ? absl::InvalidArgumentError("bad") : absl::OkStatus());
  }
  return statuses;
}

Query QueryOf(Counted& part) {
  Query query = Reporting(part.result);
  query.compute = {};
  query.compute_together = &CountTogether;
  query.part = std::make_unique<CountingPart>(&part);
  query.stop = part.stop.get_token();
  return query;
}

class BatchTest : public testing::Test {
 protected:
  class BatchMetrics : public Metrics {
   public:
    void BatchComputed(const std::string&, std::uint64_t, Operation,
                       std::int64_t queries) override {
      batches.push_back(queries);
    }
    void Computed(const std::string&, std::uint64_t, const Computation&) override { ++computed; }
    std::vector<std::int64_t> batches;
    int computed = 0;
  };

  // Submits the parts while the only worker is busy, and waits for their ends.
  std::vector<absl::Status> Run(std::span<Counted> parts, const BatchLimits& limits = {}) {
    WorkQueue queue({}, limits, 1, metrics_);
    Blocker blocker(queue);
    for (Counted& part : parts) queue.Submit(QueryOf(part));
    blocker.Release();
    std::vector<absl::Status> statuses;
    for (Counted& part : parts) statuses.push_back(part.result.get_future().get());
    return statuses;
  }

  BatchMetrics metrics_;
};

TEST_F(BatchTest, WhatWaitsIsComputedTogether) {
  Counted parts[5];
  for (const absl::Status& status : Run(parts)) EXPECT_TRUE(status.ok()) << status;
  for (const Counted& part : parts) EXPECT_EQ(part.together, 5);
  EXPECT_EQ(metrics_.batches, std::vector<std::int64_t>{5});
  EXPECT_EQ(metrics_.computed, 1 + 5);  // the blocker's, too
}

TEST_F(BatchTest, TheLimitsCutAndTheRestComesNext) {
  Counted parts[5];
  for (const absl::Status& status : Run(parts, {.max_evaluations = 2})) EXPECT_TRUE(status.ok());
  EXPECT_EQ(metrics_.batches, (std::vector<std::int64_t>{2, 2, 1}));
}

TEST_F(BatchTest, ABadOrCancelledOneHarmsNoOther) {
  Counted parts[4];
  parts[1].bad = true;
  parts[2].stop.request_stop();
  const std::vector<absl::Status> statuses = Run(parts);
  EXPECT_TRUE(statuses[0].ok());
  EXPECT_TRUE(absl::IsInvalidArgument(statuses[1])) << statuses[1];
  EXPECT_TRUE(absl::IsCancelled(statuses[2])) << statuses[2];
  EXPECT_TRUE(statuses[3].ok());
  EXPECT_EQ(parts[0].together, 3);  // a cancelled one is not computed
  EXPECT_EQ(metrics_.batches, std::vector<std::int64_t>{3});
}

TEST_F(BatchTest, AnExceptionIsThatOfItsThrower) {
  Counted parts[3];
  parts[1].throws = true;
  const std::vector<absl::Status> statuses = Run(parts);
  EXPECT_TRUE(statuses[0].ok());
  EXPECT_TRUE(absl::IsResourceExhausted(statuses[1])) << statuses[1];
  EXPECT_TRUE(statuses[2].ok());
  EXPECT_EQ(parts[2].together, 1);
}

}  // namespace
}  // namespace millrace
