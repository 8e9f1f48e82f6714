// SPDX-License-Identifier: Apache-2.0
#include "core/score/completion.h"

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/data/column_transform.h"
#include "core/score/completion_paths.h"
#include "core/score/incomplete_rows.h"
#include "core/score/slices.h"

namespace millrace {
namespace {

absl::Status ValueError(const ColumnModel& columns, const NumberRows& rows, std::int64_t r, int c,
                        absl::string_view expected) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.field = "rows",
                    .row = r,
                    .column = rows.PlaceOf(c),
                    .value = absl::StrCat(rows(r, c)),
                    .expected = absl::StrCat(expected, " in column '",
                                             PrintableValue(columns.columns()[c].name), "'")});
}

bool InSupport(const Column& column, double value) {
  if (column.type == ColumnType::kConstant)
    return value == column.constant ||
           value == static_cast<double>(static_cast<float>(column.constant));
  return ToModel(column, value, kBinCentre).in_support;
}

// Calls check(column of the model) for columns in the order they have in the row; the first error.
template <typename Check>
absl::Status ForColumns(const NumberRows& rows, const Check& check) {
  std::vector<int> by_place(static_cast<std::size_t>(rows.cols));
  for (int c = 0; c < rows.cols; ++c) by_place[static_cast<std::size_t>(rows.PlaceOf(c))] = c;
  for (const int c : by_place) MILLRACE_RETURN_IF_ERROR(check(c));
  return absl::OkStatus();
}

absl::Status CheckRow(const ColumnModel& columns, const NumberRows& rows, std::int64_t r) {
  bool missing = false;
  MILLRACE_RETURN_IF_ERROR(ForColumns(rows, [&](int c) {
    missing = missing || std::isnan(rows(r, c));
    if (!std::isinf(rows(r, c))) return absl::OkStatus();
    return ValueError(columns, rows, r, c, "a finite number, or NaN for a missing one,");
  }));
  if (!missing) return absl::OkStatus();
  return ForColumns(rows, [&](int c) {
    if (std::isnan(rows(r, c)) || InSupport(columns.columns()[c], rows(r, c)))
      return absl::OkStatus();
    return ValueError(columns, rows, r, c, "a value within the support, or NaN,");
  });
}

// What was known is there; nothing else is yet.
void Begin(const CompletionCall& call) {
  const std::int64_t count = call.input.rows.rows * call.draws();
  call.done.rows = Rows<double>(count, call.input.columns.num_columns());
  for (std::int64_t r = 0; r < call.input.rows.rows; ++r)
    for (int k = 0; k < call.draws(); ++k) call.input.rows.Read(r, 0, call.Out(r, k));
  if (call.options.draws > 0) {
    call.done.acceptance.assign(static_cast<std::size_t>(count), 1.0);
  } else {
    call.done.converged.assign(static_cast<std::size_t>(count), 1);
  }
}

absl::Status CompleteSlice(const CompletionCall& call, std::int64_t first, std::int64_t count) {
  if (call.stop.stop_requested()) return absl::CancelledError("the computation was cancelled");
  const bool draw = call.options.draws > 0;
  std::vector<IncompleteRow> rows;
  for (std::int64_t r = first; r < first + count; ++r) {
    IncompleteRow row = ReadIncompleteRow(call.input, r);
    if (row.missing.empty()) {
      for (int k = 0; k < call.draws(); ++k)
        WriteMissing(call.input.columns, row.centre, call.Out(r, k));
    } else if (draw && std::ssize(row.missing) == call.input.columns.dim()) {
      MILLRACE_RETURN_IF_ERROR(DrawSamples(call, row));
    } else {
      rows.push_back(std::move(row));
    }
  }
  if (rows.empty()) return absl::OkStatus();
  return draw ? RunChains(call, std::move(rows)) : FindMostLikely(call, rows);
}

}  // namespace

std::int64_t EvaluationsOfCompletion(const CompletionOptions& options) {
  const std::int64_t steps = options.steps;
  return kGradientCost * (options.draws == 0 ? kStarts * (steps + steps / 2 + 1)
                                             : kWalkers * std::int64_t{kWalkerSteps + 1} +
                                                   options.draws * (steps + 1));
}

absl::Status CheckOptions(const CompletionOptions& options) {
  if (options.draws < 0 || options.draws > CompletionOptions::kMaxDraws)
    return InvalidArgument("draws", absl::StrCat(options.draws),
                           absl::StrCat("0 to ", CompletionOptions::kMaxDraws));
  if (options.steps < 2 || options.steps > CompletionOptions::kMaxSteps)
    return InvalidArgument("steps", absl::StrCat(options.steps),
                           absl::StrCat("2 to ", CompletionOptions::kMaxSteps));
  return absl::OkStatus();
}

absl::Status CheckIncomplete(const ColumnModel& columns, const NumberRows& rows) {
  MILLRACE_RETURN_IF_ERROR(columns.CheckShape(rows));
  for (std::int64_t r = 0; r < rows.rows; ++r) MILLRACE_RETURN_IF_ERROR(CheckRow(columns, rows, r));
  return absl::OkStatus();
}

absl::StatusOr<Completions> CompleteRows(const CompletionInput& input,
                                         const CompletionOptions& options, std::stop_token stop) {
  Completions done;
  const CompletionCall call{input, options, std::move(stop), done};
  Begin(call);
  const std::int64_t points = options.draws > 0 ? kWalkers : kStarts;
  MILLRACE_RETURN_IF_ERROR(InSlices(
      input.rows.rows, points * FloatsOfPoint(input),
      [&](std::int64_t first, std::int64_t count) { return CompleteSlice(call, first, count); }));
  return done;
}

}  // namespace millrace
