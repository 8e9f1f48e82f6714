// SPDX-License-Identifier: Apache-2.0
#include "server/app/query.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "server/app/exception_wall.h"

namespace millrace {
namespace {

absl::Status ComputeAlone(const Query& query) {
  return BehindExceptionWall([&query] {
    if (query.compute_together == nullptr) return query.compute();
    BatchPart* const part = query.part.get();
    return query.compute_together(*query.model, {&part, 1}).front();
  });
}

// A status for each. An exception is the business of the query that throws it when it is alone.
std::vector<absl::Status> Compute(const std::list<WaitingQuery>& queries) {
  std::vector<absl::Status> statuses;
  if (queries.size() > 1) {
    const Query& first = queries.front().query;
    std::vector<BatchPart*> parts;
    for (const WaitingQuery& waiting : queries) parts.push_back(waiting.query.part.get());
    const absl::Status wall = BehindExceptionWall([&] {
      statuses = first.compute_together(*first.model, parts);
      return absl::OkStatus();
    });
    if (wall.ok()) return statuses;
  }
  for (const WaitingQuery& waiting : queries) statuses.push_back(ComputeAlone(waiting.query));
  return statuses;
}

// Of a query whose work went on for others.
absl::Status UnlessStopped(absl::Status status, const Query& query) {
  if (!status.ok() || !query.stop.stop_requested()) return status;
  return absl::CancelledError("the call was cancelled while computing");
}

void DropUnwanted(std::list<WaitingQuery>& queries, absl::Time now) {
  for (auto waiting = queries.begin(); waiting != queries.end();) {
    const Query& query = waiting->query;
    const absl::Status wanted = CheckStillWanted(now, query.deadline, query.stop.stop_requested());
    if (wanted.ok()) {
      ++waiting;
      continue;
    }
    query.done(wanted);
    waiting = queries.erase(waiting);
  }
}

}  // namespace

void AnswerQueries(std::list<WaitingQuery>& queries, Metrics& metrics) {
  const absl::Time begin = absl::Now();
  DropUnwanted(queries, begin);
  if (queries.empty()) return;
  std::vector<absl::Status> statuses = Compute(queries);
  const absl::Time end = absl::Now();
  if (const Query& first = queries.front().query; first.compute_together != nullptr) {
    metrics.BatchComputed(first.model->name, first.model->version, first.operation,
                          std::ssize(queries));
  }
  auto next = statuses.begin();
  for (const auto& [query, since] : queries) {
    absl::Status status = *std::move(next++);
    if (queries.size() > 1) status = UnlessStopped(std::move(status), query);
    if (status.ok() && query.model != nullptr) {
      metrics.Computed(query.model->name, query.model->version,
                       {query.operation, query.rows, begin - since, end - begin});
    }
    query.done(WithDeadline(std::move(status), end, query.deadline));
  }
}

absl::Status CheckStillWanted(absl::Time now, absl::Time deadline, bool stop_requested) {
  if (now >= deadline)
    return absl::DeadlineExceededError("the deadline passed before the work began");
  if (stop_requested) return absl::CancelledError("the call was cancelled before the work began");
  return absl::OkStatus();
}

absl::Status WithDeadline(absl::Status status, absl::Time now, absl::Time deadline) {
  if (!absl::IsCancelled(status) || now < deadline) return status;
  return absl::DeadlineExceededError("the deadline passed while computing");
}

absl::Time GivenUpFrom(absl::Time start, absl::Time deadline) {
  constexpr absl::Duration kTransit = absl::Milliseconds(10);
  if (deadline == absl::InfiniteFuture()) return deadline;
  return std::max(start, deadline - kTransit - (deadline - start) / 100);
}

}  // namespace millrace
