// SPDX-License-Identifier: Apache-2.0
#include "server/app/batch_cut.h"

namespace millrace {

std::vector<std::size_t> CutBatch(std::span<const BatchCandidate> waiting,
                                  const BatchLimits& limits) {
  const BatchCandidate& first = waiting.front();
  std::vector<std::size_t> batch = {0};
  if (first.model == nullptr) return batch;
  std::int64_t left = limits.max_evaluations - first.evaluations;
  for (std::size_t i = 1; i < waiting.size(); ++i) {
    const BatchCandidate& next = waiting[i];
    if (next.model != first.model || next.operation != first.operation) continue;
    if (next.evaluations > left || std::ssize(batch) >= limits.max_queries) break;
    left -= next.evaluations;
    batch.push_back(i);
  }
  return batch;
}

}  // namespace millrace
