// SPDX-License-Identifier: Apache-2.0
#include "server/app/work_queue.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"

namespace millrace {

absl::Status CheckAdmission(const QueueLimits& limits, const QueueLoad& load, std::int64_t rows) {
  if (load.items >= limits.max_items) {
    return absl::UnavailableError(
        absl::StrCat("the server's queue is full: ", load.items,
                     " requests wait (--max_queue_requests); retry later"));
  }
  if (load.items > 0 && rows > limits.max_rows - load.rows) {
    return absl::UnavailableError(absl::StrCat("the server's queue is full: ", load.rows,
                                               " rows wait (--max_queue_rows); retry later"));
  }
  return absl::OkStatus();
}

absl::Status CheckStillWanted(absl::Time now, absl::Time deadline, bool stop_requested) {
  if (now >= deadline) return absl::DeadlineExceededError("the deadline passed in the queue");
  if (stop_requested) return absl::CancelledError("the call was cancelled in the queue");
  return absl::OkStatus();
}

WorkQueue::WorkQueue(const QueueLimits& limits, int workers, Metrics& metrics)
    : limits_(limits), metrics_(metrics) {
  for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { Work(); });
}

WorkQueue::~WorkQueue() { Shutdown(); }

absl::Status WorkQueue::Submit(WorkItem item) {
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kClosed || (phase_ == Phase::kDraining && !item.admitted)) {
      return absl::UnavailableError("the server is shutting down");
    }
    if (!item.admitted) MILLRACE_RETURN_IF_ERROR(CheckAdmission(limits_, load_, item.rows));
    const std::int64_t rows = item.rows;
    waiting_.push_back({std::move(item), absl::Now()});
    load_.items += 1;
    load_.rows += rows;
    metrics_.QueueDepth(load_.items);
  }
  wake_.notify_one();
  return absl::OkStatus();
}

void WorkQueue::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return !waiting_.empty() || phase_ == Phase::kClosed; });
    if (waiting_.empty()) return;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    load_.items -= 1;
    load_.rows -= next.item.rows;
    metrics_.QueueDepth(load_.items);
    const bool closed = phase_ == Phase::kClosed;
    lock.unlock();
    const absl::Time now = absl::Now();
    next.item.run(closed
                      ? absl::UnavailableError("the server is shutting down")
                      : CheckStillWanted(now, next.item.deadline, next.item.stop.stop_requested()),
                  now - next.since);
    next = {};  // what the item holds is released before the next wait
    lock.lock();
  }
}

void WorkQueue::Drain() {
  const std::lock_guard lock(mutex_);
  if (phase_ == Phase::kOpen) phase_ = Phase::kDraining;
}

void WorkQueue::Shutdown() {
  {
    const std::lock_guard lock(mutex_);
    phase_ = Phase::kClosed;
  }
  wake_.notify_all();
  workers_.clear();
}

}  // namespace millrace
