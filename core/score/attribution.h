// SPDX-License-Identifier: Apache-2.0
// What each column contributes to a row's log-density.
#ifndef MILLRACE_CORE_SCORE_ATTRIBUTION_H_
#define MILLRACE_CORE_SCORE_ATTRIBUTION_H_

#include <span>
#include <stop_token>

#include "absl/status/statusor.h"
#include "core/base/number_rows.h"
#include "core/base/rows.h"
#include "core/data/column_model.h"
#include "core/data/context_model.h"
#include "core/flow/backend.h"

namespace millrace {

// A model on its backend, and rows of finite numbers that fit it. Results are [n,
// num_columns()], nats of the user's own units; 0 for constant columns; NaN in rows whose log_prob
// is -infinity (out of support, or without any density). Where there are conditions, every density
// here is the one under the row's. CANCELLED when stopped.
struct AttributionInput {
  const ColumnModel& columns;
  Backend& backend;
  const DeviceWeights& weights;
  NumberRows rows;
  std::span<const double> log_prob;  // [n] of Density::LogProb
  const ContextModel& conditions;
  NumberRows context = {};  // passed ContextModel::Check
};

// log p(x_i | all other columns) = log p(x) - log of the integral of p over column i, others held.
// The density is the one that Density::LogProb states, mean over offsets included. Exact to 1e-2
// nats under the conditions of LineIntegral, whose rule for tails holds in standardised units. Over
// a discrete column the integral is a sum: over its lattice points within 32 standardised units of
// 0 and of the row's value; where bins are narrower than a sixteenth of a standardised unit, the
// integral that the sum approximates. Costs about kEvaluationsOfLine evaluations of the flow for
// each row, column and offset.
inline constexpr int kEvaluationsOfLine = 400;
absl::StatusOr<Rows<double>> ConditionalTerms(const AttributionInput& input, std::stop_token stop);

// log p(x_i | x_<i), which sum to log_prob; constant columns stand outside the chain.
// FAILED_PRECONDITION unless the flow is triangular with these weights. With offsets, of the mean
// over offsets of the densities of the first i columns.
absl::StatusOr<Rows<double>> ChainTerms(const AttributionInput& input, std::stop_token stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_ATTRIBUTION_H_
