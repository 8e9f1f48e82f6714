// SPDX-License-Identifier: Apache-2.0
// Which of the queries that wait are computed together.
#ifndef MILLRACE_SERVER_APP_BATCH_CUT_H_
#define MILLRACE_SERVER_APP_BATCH_CUT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/app/metrics.h"

namespace millrace {

struct BatchLimits {
  std::int64_t max_evaluations = 1024;  // of the flow, of a batch; at most 1: each query runs alone
  std::int64_t max_queries = 64;        // of a batch
};

// What waits, as far as the cut is concerned.
struct BatchCandidate {
  const void* model = nullptr;  // of a query that runs alone: none
  Operation operation = Operation::kLogProb;
  std::int64_t evaluations = 0;
};

// The queries, by their place, that are taken next out of those that wait in order of arrival: the
// first of all, and with it those of its model and operation that came next, as many as fit. None
// is taken before one of its own kind that came earlier, and all others keep their place: the
// foremost of them is the first of the next batch. A query that fills a batch runs alone. At least
// one waits.
std::vector<std::size_t> CutBatch(std::span<const BatchCandidate> waiting,
                                  const BatchLimits& limits);

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_BATCH_CUT_H_
