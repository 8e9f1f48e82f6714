// SPDX-License-Identifier: Apache-2.0
#include "server/app/work_queue.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"

namespace millrace {

namespace {

absl::Status Full(std::int64_t load, absl::string_view unit, absl::string_view flag) {
  return absl::UnavailableError(absl::StrCat("the server's queue is full: ", load, " ", unit,
                                             " wait (--", flag, "); retry later"));
}

}  // namespace

absl::Status CheckAdmission(const QueueLimits& limits, const QueueLoad& load,
                            const WorkCost& cost) {
  if (load.items == 0) return absl::OkStatus();
  if (load.items >= limits.max_items) return Full(load.items, "requests", "max_queue_requests");
  if (cost.evaluations > limits.max_cost.evaluations - load.cost.evaluations)
    return Full(load.cost.evaluations, "evaluations", "max_queue_evaluations");
  if (cost.bytes > limits.max_cost.bytes - load.cost.bytes)
    return Full(load.cost.bytes, "bytes", "max_queue_bytes");
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
    if (!item.admitted) MILLRACE_RETURN_IF_ERROR(CheckAdmission(limits_, load_, item.cost));
    const WorkCost cost = item.cost;
    waiting_.push_back({std::move(item), absl::Now()});
    load_.items += 1;
    load_.cost.evaluations += cost.evaluations;
    load_.cost.bytes += cost.bytes;
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
    load_.cost.evaluations -= next.item.cost.evaluations;
    load_.cost.bytes -= next.item.cost.bytes;
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
