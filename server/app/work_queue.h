// SPDX-License-Identifier: Apache-2.0
// Where queries wait for a thread that computes: bounded, first come first served.
#ifndef MILLRACE_SERVER_APP_WORK_QUEUE_H_
#define MILLRACE_SERVER_APP_WORK_QUEUE_H_

#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "server/app/batch_cut.h"
#include "server/app/metrics.h"
#include "server/app/query.h"

namespace millrace {

struct QueueLimits {
  std::int64_t max_queries = 1024;
  WorkCost max_cost = {.evaluations = 20'000'000, .bytes = std::int64_t{1} << 30};
};

// What waits in a queue.
struct QueueLoad {
  std::int64_t queries = 0;
  WorkCost cost = {};  // of all of them together
};

// Whether a query may join: OK, or UNAVAILABLE naming the limit. An empty queue takes any.
absl::Status CheckAdmission(const QueueLimits& limits, const QueueLoad& load, const WorkCost& cost);

// Thread-safe.
class WorkQueue {
 public:
  // Starts `workers` >= 1 threads. `metrics` outlives the queue.
  WorkQueue(const QueueLimits& limits, const BatchLimits& batch, int workers, Metrics& metrics);
  ~WorkQueue();  // as Shutdown

  // A worker computes the query, perhaps together with others (server/app/batch_cut.h), unless it
  // ends with CANCELLED or DEADLINE_EXCEEDED before its turn comes, or with UNAVAILABLE: the queue
  // is full, draining or shut down.
  void Submit(Query query);
  // The calling thread computes the query before this returns, whatever waits: for what takes less
  // time than waking a worker. It ends as one submitted, but no queue is full for it, and none is
  // taken from Drain on.
  void ComputeHere(Query query);

  // From here on only admitted queries are taken.
  void Drain();
  // Requested when that begins.
  std::stop_token draining() const { return draining_.get_token(); }
  // Drops what waits, finishes what runs, ends the threads. Not from a worker.
  void Shutdown();

 private:
  enum class Phase { kOpen, kDraining, kClosed };

  absl::Status Admit(Query& query);
  std::list<WaitingQuery> TakeBatch();
  void Work();

  const QueueLimits limits_;
  const BatchLimits batch_;
  Metrics& metrics_;
  std::stop_source draining_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<WaitingQuery> waiting_;  // guarded by mutex_, as the next two
  QueueLoad load_;
  Phase phase_ = Phase::kOpen;
  std::vector<std::jthread> workers_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_WORK_QUEUE_H_
