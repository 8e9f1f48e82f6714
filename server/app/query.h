// SPDX-License-Identifier: Apache-2.0
// One question to one model, or other work on behalf of a call, on its way through the queue.
#ifndef MILLRACE_SERVER_APP_QUERY_H_
#define MILLRACE_SERVER_APP_QUERY_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/app/metrics.h"
#include "server/app/model_repository.h"

namespace millrace {

// What a query holds while it waits, and asks for when it runs.
struct WorkCost {
  std::int64_t evaluations = 0;  // of the flow, each for one row
  std::int64_t bytes = 0;        // of its message
};

// One query's part of a batch; what it holds is known to those who make it and to their
// ComputeTogether.
class BatchPart {
 public:
  virtual ~BatchPart() = default;
};

// The work of several queries of one operation on one model at once. A status for each part, and
// with it the answer, as if each were alone. May throw, and may then be called again.
using ComputeTogether = std::vector<absl::Status> (*)(const ServedModel& model,
                                                      std::span<BatchPart* const> parts);

struct Query {
  Operation operation = Operation::kLogProb;
  ModelHandle model = nullptr;  // one that serves, under which the query is counted; none: nowhere
  std::int64_t rows = 0;        // of the answer
  WorkCost cost = {};
  absl::Time deadline = absl::InfiniteFuture();
  std::stop_token stop = {};
  bool admitted = false;  // a further chunk of a query that was let in before: no limit applies

  // The work itself; may throw.
  std::function<absl::Status()> compute = {};
  // In place of `compute`, where what waits for one model and operation may be computed at once;
  // one function for each operation.
  ComputeTogether compute_together = nullptr;
  std::unique_ptr<BatchPart> part = nullptr;

  // Called exactly once, after the work or instead of it: by a worker, or before Submit returns
  // when the queue refuses, and always before ComputeHere returns. Throws nothing.
  std::function<void(const absl::Status&)> done;
};

struct WaitingQuery {
  Query query;
  absl::Time since;
};

// Answers queries whose turn has come together: those that are not wanted any more are dropped, the
// others computed behind the exception wall, counted and ended, each with a status of its own. A
// call cancelled because its deadline passed ends with DEADLINE_EXCEEDED. Several are of one model
// and operation, and have compute_together.
void AnswerQueries(std::list<WaitingQuery>& queries, Metrics& metrics);

// Whether a query whose turn has come is still worth computing: OK, CANCELLED or DEADLINE_EXCEEDED.
absl::Status CheckStillWanted(absl::Time now, absl::Time deadline, bool stop_requested);

// CANCELLED becomes DEADLINE_EXCEEDED once the deadline has passed: that is why it was cancelled.
absl::Status WithDeadline(absl::Status status, absl::Time now, absl::Time deadline);

// From when on a cancellation of a call is taken for its caller's deadline. The caller's own clock
// started earlier, and gRPC rounds what is left of it up on the wire, by a hundredth at most: its
// cancellation may arrive a little before `deadline`.
absl::Time GivenUpFrom(absl::Time start, absl::Time deadline);

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_QUERY_H_
