// SPDX-License-Identifier: Apache-2.0
// Completes rows in which some values are missing: NaN marks a missing one, here and nowhere else.
//
// What is known of a row is an event of the model's samples: a column without bins has the value, a
// discrete one stands on its point, one that is tied (core/data/column.h) lies within half a window
// of it. Completions are of p(missing | known), the distribution of the samples among which that
// happens.
#ifndef MILLRACE_CORE_SCORE_COMPLETION_H_
#define MILLRACE_CORE_SCORE_COMPLETION_H_

#include <cstdint>
#include <stop_token>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/number_rows.h"
#include "core/base/rows.h"
#include "core/data/column_model.h"
#include "core/data/context_model.h"
#include "core/flow/backend.h"

namespace millrace {

struct CompletionOptions {
  static constexpr int kMaxDraws = 100'000;
  static constexpr int kMaxSteps = 100'000;

  // Completions of each row, [1, kMaxDraws], drawn from p(missing | known). 0: one, the most
  // likely.
  int draws = 0;
  // Drawing: the length of the Markov chain behind each draw. Else the most evaluations of each of
  // the kStarts climbs. [2, kMaxSteps].
  int steps = 200;
  std::uint64_t seed = 0;
  std::uint64_t first_row = 0;  // row r of the call draws as the (first_row + r)-th
};

// [m, ...], m = rows * max(draws, 1): completion k of row r stands at r * max(draws, 1) + k.
struct Completions {
  Rows<double> rows;             // [m, columns] in the user's units; what was known is unchanged
  std::vector<double> log_prob;  // [m] of the completed row, as Density::LogProb gives it
  std::vector<std::uint8_t> out_of_support;  // [m] likewise; only of rows without missing values
  // Drawing: share of the chain's proposals that were accepted, after its step was settled; 1 where
  // no chain was needed. Below about 0.05 a draw has hardly moved from where its chain began.
  std::vector<double> acceptance;       // [m] or empty
  std::vector<std::uint8_t> converged;  // [m] or empty; of the most likely: the climb came to rest
};

// A model on its backend, and rows that fit it but for NaN.
struct CompletionInput {
  const ColumnModel& columns;
  Backend& backend;
  const DeviceWeights& weights;
  NumberRows rows;
  const ContextModel& conditions;
  NumberRows context = {};  // passed ContextModel::Check
};

inline constexpr int kStarts = 8;    // climbs of a row
inline constexpr int kWalkers = 32;  // chains that explore a row before any draw
inline constexpr int kWalkerSteps = 48;
inline constexpr int kGradientCost = 3;  // evaluations that a gradient takes, about

// Evaluations of the flow that a row takes at most, its log-densities aside.
std::int64_t EvaluationsOfCompletion(const CompletionOptions& options);

// INVALID_ARGUMENT naming the option.
absl::Status CheckOptions(const CompletionOptions& options);

// INVALID_ARGUMENT naming row, column and value: an infinity, or in a row with missing values a
// known one out of support, under which no completion exists.
absl::Status CheckIncomplete(const ColumnModel& columns, const NumberRows& rows);

// All but log_prob and out_of_support, of rows that passed CheckIncomplete. CANCELLED when stopped.
// The same bits on any number of threads and whatever rows stand beside a row.
//
// The most likely completion maximises the density of the standardised values (the logit or the
// logarithm of a bounded column's: in its own units the density may grow without limit towards a
// bound); of a discrete column, the point in whose bin the maximum lies. Known columns with bins
// count as in the middle of them. Spectral gradient ascent (Raydan 1997) from the columns' centres
// and from kStarts - 1 samples of the model; the best rest counts. Nothing proves it the global
// one.
//
// A draw is the end of a Markov chain whose stationary distribution is p(missing | known). Its
// steps alternate: a Langevin step (MALA; Roberts, Tweedie 1996), scaled by the gradients that
// kWalkers explorers met in each column, and a jump to a mixture of normals around where these
// came to stand, weighted by the density there, which takes it from mode to mode (an independence
// sampler). Step lengths are fitted in the first half and fixed in the second. Explorers and chain
// depend on (seed, first_row + row) and the chain on the draw's index besides. A row of which
// nothing is known needs no chain: samples of the model. FAILED_PRECONDITION where one overflows.
absl::StatusOr<Completions> CompleteRows(const CompletionInput& input,
                                         const CompletionOptions& options, std::stop_token stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_COMPLETION_H_
