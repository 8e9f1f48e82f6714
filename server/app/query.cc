// SPDX-License-Identifier: Apache-2.0
#include "server/app/query.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "server/app/exception_wall.h"

namespace millrace {
namespace {

absl::Status Compute(const Query& query, absl::Duration queued, Metrics& metrics) {
  const absl::Time begin = absl::Now();
  absl::Status status = BehindExceptionWall([&query] { return query.compute(*query.model); });
  const absl::Time end = absl::Now();
  if (status.ok()) {
    metrics.Computed(query.model->name, query.model->version,
                     {query.operation, query.rows, queued, end - begin});
  }
  return WithDeadline(std::move(status), end, query.deadline);
}

}  // namespace

absl::Status WithDeadline(absl::Status status, absl::Time now, absl::Time deadline) {
  if (!absl::IsCancelled(status) || now < deadline) return status;
  return absl::DeadlineExceededError("the deadline passed while computing");
}

absl::Time GivenUpFrom(absl::Time start, absl::Time deadline) {
  constexpr absl::Duration kTransit = absl::Milliseconds(10);
  if (deadline == absl::InfiniteFuture()) return deadline;
  return std::max(start, deadline - kTransit - (deadline - start) / 100);
}

void RunQuery(Query query, WorkQueue& queue, Metrics& metrics) {
  const auto shared = std::make_shared<const Query>(std::move(query));
  WorkItem item{.cost = shared->cost,
                .deadline = shared->deadline,
                .stop = shared->stop,
                .admitted = shared->admitted,
                .run = [shared, &metrics](const absl::Status& wanted, absl::Duration queued) {
                  shared->done(wanted.ok() ? Compute(*shared, queued, metrics) : wanted);
                }};
  const absl::Status submitted = queue.Submit(std::move(item));
  if (!submitted.ok()) shared->done(submitted);
}

}  // namespace millrace
