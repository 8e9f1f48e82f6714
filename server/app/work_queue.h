// SPDX-License-Identifier: Apache-2.0
// Where queries wait for a thread that computes: bounded, first come first served.
#ifndef MILLRACE_SERVER_APP_WORK_QUEUE_H_
#define MILLRACE_SERVER_APP_WORK_QUEUE_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/app/metrics.h"

namespace millrace {

// What a piece of work holds while it waits, and asks for when it runs.
struct WorkCost {
  std::int64_t evaluations = 0;  // of the flow, each for one row
  std::int64_t bytes = 0;        // of its message
};

struct QueueLimits {
  std::int64_t max_items = 1024;
  WorkCost max_cost = {.evaluations = 20'000'000, .bytes = std::int64_t{1} << 30};
};

// What waits in a queue.
struct QueueLoad {
  std::int64_t items = 0;
  WorkCost cost = {};  // of all items together
};

// Whether an item may join: OK, or UNAVAILABLE naming the limit. An empty queue takes any.
absl::Status CheckAdmission(const QueueLimits& limits, const QueueLoad& load, const WorkCost& cost);

// Whether an item taken from the queue is still worth computing: OK, CANCELLED or
// DEADLINE_EXCEEDED.
absl::Status CheckStillWanted(absl::Time now, absl::Time deadline, bool stop_requested);

struct WorkItem {
  WorkCost cost = {};
  absl::Time deadline = absl::InfiniteFuture();
  std::stop_token stop = {};
  bool admitted = false;  // a further piece of work that was let in before: no limit applies
  // Called once, on a worker, with the time spent waiting. OK: compute now. Else the item is
  // dropped: CANCELLED, DEADLINE_EXCEEDED, or UNAVAILABLE at the end of the queue. Throws nothing.
  std::function<void(const absl::Status&, absl::Duration queued)> run;
};

// Thread-safe.
class WorkQueue {
 public:
  // Starts `workers` >= 1 threads. `metrics` outlives the queue.
  WorkQueue(const QueueLimits& limits, int workers, Metrics& metrics);
  ~WorkQueue();  // as Shutdown

  // OK: `item.run` will be called. UNAVAILABLE: full or draining, and it never will.
  absl::Status Submit(WorkItem item);

  // From here on only admitted items are taken.
  void Drain();
  // Drops what waits, finishes what runs, ends the threads. Not from a worker.
  void Shutdown();

 private:
  struct Waiting {
    WorkItem item;
    absl::Time since;
  };
  enum class Phase { kOpen, kDraining, kClosed };

  void Work();

  const QueueLimits limits_;
  Metrics& metrics_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Waiting> waiting_;  // guarded by mutex_, as the next two
  QueueLoad load_;
  Phase phase_ = Phase::kOpen;
  std::vector<std::jthread> workers_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_WORK_QUEUE_H_
