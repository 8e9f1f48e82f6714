// SPDX-License-Identifier: Apache-2.0
#include "server/app/work_queue.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"

namespace millrace {

namespace {

constexpr absl::string_view kShuttingDown = "the server is shutting down";
constexpr std::int64_t kLookAhead = 256;  // queries that are looked at for a batch

BatchCandidate CandidateOf(const Query& query) {
  const bool alone = query.compute_together == nullptr;
  return {alone ? nullptr : query.model.get(), query.operation, query.cost.evaluations};
}

absl::Status Full(std::int64_t load, absl::string_view unit, absl::string_view flag) {
  return absl::UnavailableError(absl::StrCat("the server's queue is full: ", load, " ", unit,
                                             " wait (--", flag, "); retry later"));
}

}  // namespace

absl::Status CheckAdmission(const QueueLimits& limits, const QueueLoad& load,
                            const WorkCost& cost) {
  if (load.queries == 0) return absl::OkStatus();
  if (load.queries >= limits.max_queries)
    return Full(load.queries, "requests", "max_queue_requests");
  if (cost.evaluations > limits.max_cost.evaluations - load.cost.evaluations)
    return Full(load.cost.evaluations, "evaluations", "max_queue_evaluations");
  if (cost.bytes > limits.max_cost.bytes - load.cost.bytes)
    return Full(load.cost.bytes, "bytes", "max_queue_bytes");
  return absl::OkStatus();
}

WorkQueue::WorkQueue(const QueueLimits& limits, const BatchLimits& batch, int workers,
                     Metrics& metrics)
    : limits_(limits), batch_(batch), metrics_(metrics) {
  for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { Work(); });
}

WorkQueue::~WorkQueue() { Shutdown(); }

// Leaves the query alone where it refuses it.
absl::Status WorkQueue::Admit(Query& query) {
  const std::lock_guard lock(mutex_);
  if (phase_ == Phase::kClosed || (phase_ == Phase::kDraining && !query.admitted)) {
    return absl::UnavailableError(kShuttingDown);
  }
  if (!query.admitted) MILLRACE_RETURN_IF_ERROR(CheckAdmission(limits_, load_, query.cost));
  const WorkCost cost = query.cost;
  waiting_.push_back({std::move(query), absl::Now()});
  load_.queries += 1;
  load_.cost.evaluations += cost.evaluations;
  load_.cost.bytes += cost.bytes;
  metrics_.QueueDepth(load_.queries);
  return absl::OkStatus();
}

void WorkQueue::Submit(Query query) {
  const absl::Status admitted = Admit(query);
  admitted.ok() ? wake_.notify_one() : query.done(admitted);
}

void WorkQueue::ComputeHere(Query query) {
  if (draining_.stop_requested()) return query.done(absl::UnavailableError(kShuttingDown));
  std::list<WaitingQuery> alone;
  alone.push_back({std::move(query), absl::Now()});
  AnswerQueries(alone, metrics_);
}

// With mutex_ held, and something waiting.
std::list<WaitingQuery> WorkQueue::TakeBatch() {
  const Query& first = waiting_.front().query;
  const bool alone =
      first.compute_together == nullptr || first.cost.evaluations >= batch_.max_evaluations;
  std::vector<BatchCandidate> candidates;
  for (const auto& [query, since] : waiting_) {
    if (std::ssize(candidates) == (alone ? 1 : kLookAhead)) break;
    candidates.push_back(CandidateOf(query));
  }
  std::list<WaitingQuery> batch;
  auto next = waiting_.begin();
  std::size_t at = 0;
  for (const std::size_t place : CutBatch(candidates, batch_)) {
    std::advance(next, place - at);
    at = place + 1;
    const WorkCost& cost = next->query.cost;
    load_.queries -= 1;
    load_.cost.evaluations -= cost.evaluations;
    load_.cost.bytes -= cost.bytes;
    batch.splice(batch.end(), waiting_, next++);
  }
  metrics_.QueueDepth(load_.queries);
  return batch;
}

void WorkQueue::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return !waiting_.empty() || phase_ == Phase::kClosed; });
    if (waiting_.empty()) return;
    std::list<WaitingQuery> batch = TakeBatch();
    const bool closed = phase_ == Phase::kClosed;
    lock.unlock();
    if (closed) {
      for (const WaitingQuery& waiting : batch)
        waiting.query.done(absl::UnavailableError(kShuttingDown));
    } else {
      AnswerQueries(batch, metrics_);
    }
    batch.clear();  // what the queries hold is released before the next wait
    lock.lock();
  }
}

void WorkQueue::Drain() {
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kOpen) phase_ = Phase::kDraining;
  }
  draining_.request_stop();
}

void WorkQueue::Shutdown() {
  Drain();
  {
    const std::lock_guard lock(mutex_);
    phase_ = Phase::kClosed;
  }
  wake_.notify_all();
  workers_.clear();
}

}  // namespace millrace
