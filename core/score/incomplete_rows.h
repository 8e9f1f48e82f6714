// SPDX-License-Identifier: Apache-2.0
// Rows with missing values as a flow sees them, and points at which it is asked for its density.
#ifndef MILLRACE_CORE_SCORE_INCOMPLETE_ROWS_H_
#define MILLRACE_CORE_SCORE_INCOMPLETE_ROWS_H_

#include <cmath>
#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/exec/base_layer.h"
#include "core/score/completion.h"

namespace millrace {

// An active column whose value is known but for where in its bin it stands: between low and high,
// standardised.
struct KnownBin {
  int column = 0;
  double low = 0.0;
  double high = 0.0;
};

struct IncompleteRow {
  std::int64_t row = 0;           // of the input
  std::vector<int> missing = {};  // active columns without a value
  std::vector<KnownBin> bins = {};
  std::vector<float> centre = {};   // [dim] standardised, bins in the middle, missing ones 0
  std::vector<float> context = {};  // [context_dim]
};

IncompleteRow ReadIncompleteRow(const CompletionInput& input, std::int64_t row);

// Writes the missing values of a row in the user's units; the others are there.
void WriteMissing(const ColumnModel& columns, std::span<const float> standardised,
                  std::span<double> row);

// A point of standardised space under a condition, and what the flow says of it.
struct FlowPoint {
  std::span<const float> context = {};
  std::vector<float> x = {};         // [dim]
  double log_prob = 0.0;             // -infinity where it overflows
  std::vector<float> gradient = {};  // [dim], finite
};

// Evaluates all points in one batch.
absl::Status Evaluate(const CompletionInput& input, std::span<FlowPoint* const> points,
                      const std::stop_token& stop);

// A sample of the flow for each key and context, [keys, dim]; not finite where one overflows.
absl::StatusOr<Rows<float>> DrawPoints(const CompletionInput& input,
                                       std::span<const SampleKey> keys,
                                       std::span<const std::span<const float>> contexts,
                                       const std::stop_token& stop);

// Where a search or a chain begins, of what a sample has in that column.
inline float StartAt(float drawn) { return std::isfinite(drawn) ? drawn : 0.0f; }

// A seed of its own for whatever is drawn for `index` of a row.
enum class DrawPurpose : std::uint32_t { kStart = 1, kWalker, kChain, kSample };
std::uint64_t SeedOf(const CompletionOptions& options, DrawPurpose purpose, std::int64_t row,
                     std::uint32_t index);

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_INCOMPLETE_ROWS_H_
