// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/base/status_macros.h"
#include "core/data/column_transform.h"
#include "core/score/ascent.h"
#include "core/score/completion_paths.h"

namespace millrace {
namespace {

// Moves missing discrete columns to the points of their lattice, lets the others climb on from
// there, and keeps the highest climb of each row.
absl::Status Settle(const CompletionCall& call, std::span<const IncompleteRow> rows,
                    std::span<const Climb> climbs) {
  const ColumnModel& columns = call.input.columns;
  std::vector<std::vector<int>> moving(rows.size());
  std::vector<double> log_dets(climbs.size());
  std::vector<Climb> settled;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (const int i : rows[r].missing)
      if (columns.columns()[columns.active()[i]].type != ColumnType::kDiscrete)
        moving[r].push_back(i);
    for (std::size_t s = r * kStarts; s < (r + 1) * kStarts; ++s) {
      FlowPoint point = climbs[s].best();
      for (const int i : rows[r].missing) {
        const Column& column = columns.columns()[columns.active()[i]];
        if (column.type != ColumnType::kDiscrete) continue;
        const ModelValue value = ToModel(column, FromModel(column, point.x[i]), kBinCentre);
        point.x[i] = static_cast<float>(value.standardised);
        log_dets[s] += value.log_det;
      }
      settled.emplace_back(std::move(point), moving[r]);
    }
  }
  MILLRACE_RETURN_IF_ERROR(
      RunClimbs(call.input, settled, std::max(call.options.steps / 2, 1), call.stop));
  const auto height = [&](std::size_t s) { return settled[s].best().log_prob + log_dets[s]; };
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::size_t best = r * kStarts;
    for (std::size_t s = best; s < (r + 1) * kStarts; ++s)
      if (height(s) > height(best)) best = s;
    WriteMissing(columns, settled[best].best().x, call.Out(rows[r].row, 0));
    // With nothing left to move, a settled climb is where it began.
    call.done.converged[static_cast<std::size_t>(rows[r].row)] =
        climbs[best].converged() && (moving[r].empty() || settled[best].converged());
  }
  return absl::OkStatus();
}

}  // namespace

// Climbs from the centre and from samples of the model, kStarts a row, row after row.
absl::Status FindMostLikely(const CompletionCall& call, std::span<const IncompleteRow> rows) {
  std::vector<SampleKey> keys;
  std::vector<std::span<const float>> contexts;
  for (const IncompleteRow& row : rows)
    for (int s = 1; s < kStarts; ++s) {
      keys.push_back({SeedOf(call.options, DrawPurpose::kStart, row.row, s), 0, 1.0});
      contexts.push_back(row.context);
    }
  MILLRACE_ASSIGN_OR_RETURN(const Rows<float> samples,
                            DrawPoints(call.input, keys, contexts, call.stop));
  std::vector<Climb> climbs;
  std::int64_t next = 0;
  for (const IncompleteRow& row : rows)
    for (int s = 0; s < kStarts; ++s) {
      FlowPoint start{.context = row.context, .x = row.centre};
      if (s > 0) {
        for (const int i : row.missing) start.x[i] = StartAt(samples(next, i));
        ++next;
      }
      climbs.emplace_back(std::move(start), row.missing);
    }
  MILLRACE_RETURN_IF_ERROR(RunClimbs(call.input, climbs, call.options.steps, call.stop));
  return Settle(call, rows, climbs);
}

}  // namespace millrace
