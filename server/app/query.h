// SPDX-License-Identifier: Apache-2.0
// One question to one model, on its way through the queue.
#ifndef MILLRACE_SERVER_APP_QUERY_H_
#define MILLRACE_SERVER_APP_QUERY_H_

#include <cstdint>
#include <functional>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/app/metrics.h"
#include "server/app/model_repository.h"
#include "server/app/work_queue.h"

namespace millrace {

struct Query {
  Operation operation = Operation::kLogProb;
  ModelHandle model;      // one that serves
  std::int64_t rows = 0;  // of the answer
  WorkCost cost = {};
  absl::Time deadline = absl::InfiniteFuture();
  std::stop_token stop = {};
  bool admitted = false;  // a further chunk of a query that was let in before
  // The work itself, on a worker of the queue; may throw.
  std::function<absl::Status(const ServedModel&)> compute;
  // Called exactly once, after `compute` or instead of it: by a worker, or before RunQuery returns
  // when the queue refuses. Throws nothing.
  std::function<void(const absl::Status&)> done;
};

// Runs a query: queue, exception wall, metrics. A call cancelled because its deadline passed ends
// with DEADLINE_EXCEEDED. `queue` and `metrics` outlive the query.
void RunQuery(Query query, WorkQueue& queue, Metrics& metrics);

// CANCELLED becomes DEADLINE_EXCEEDED once the deadline has passed: that is why it was cancelled.
absl::Status WithDeadline(absl::Status status, absl::Time now, absl::Time deadline);

// From when on a cancellation of a call is taken for its caller's deadline. The caller's own clock
// started earlier, and gRPC rounds what is left of it up on the wire, by a hundredth at most: its
// cancellation may arrive a little before `deadline`.
absl::Time GivenUpFrom(absl::Time start, absl::Time deadline);

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_QUERY_H_
