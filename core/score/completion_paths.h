// SPDX-License-Identifier: Apache-2.0
// The two ways of completing rows. Internal to core/score/completion.cc, whose contract they keep.
#ifndef MILLRACE_CORE_SCORE_COMPLETION_PATHS_H_
#define MILLRACE_CORE_SCORE_COMPLETION_PATHS_H_

#include <algorithm>
#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "core/score/completion.h"
#include "core/score/incomplete_rows.h"

namespace millrace {

// A call under way.
struct CompletionCall {
  const CompletionInput& input;
  const CompletionOptions& options;
  std::stop_token stop;
  Completions& done;

  int draws() const { return std::max(options.draws, 1); }
  std::int64_t Place(std::int64_t row, std::int64_t draw) const { return row * draws() + draw; }
  // Completion `draw` of a row; its values that are missing are NaN until WriteMissing.
  std::span<double> Out(std::int64_t row, std::int64_t draw) const {
    return done.rows.view().row(Place(row, draw));
  }
};

// Floats that a point on its way takes, about.
inline std::int64_t FloatsOfPoint(const CompletionInput& input) {
  return 6 * std::int64_t{input.columns.dim()} + input.conditions.dim() + 64;
}

// Rows with something missing.
absl::Status FindMostLikely(const CompletionCall& call, std::span<const IncompleteRow> rows);
// Rows with something missing and something known.
absl::Status RunChains(const CompletionCall& call, std::vector<IncompleteRow> rows);
// A row of which nothing is known.
absl::Status DrawSamples(const CompletionCall& call, const IncompleteRow& row);

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_COMPLETION_PATHS_H_
