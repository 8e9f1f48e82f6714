// SPDX-License-Identifier: Apache-2.0
#include "core/score/incomplete_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/status_macros.h"
#include "core/data/column_transform.h"
#include "core/math/philox.h"

namespace millrace {

IncompleteRow ReadIncompleteRow(const CompletionInput& input, std::int64_t row) {
  const ColumnModel& columns = input.columns;
  IncompleteRow read{.row = row};
  read.centre.resize(static_cast<std::size_t>(columns.dim()));
  for (int i = 0; i < columns.dim(); ++i) {
    const Column& column = columns.columns()[columns.active()[i]];
    const double value = input.rows(row, columns.active()[i]);
    if (std::isnan(value)) {
      read.missing.push_back(i);
      continue;
    }
    if (column.bin_width > 0.0)
      read.bins.push_back(
          {i, ToModel(column, value, 0.0).standardised, ToModel(column, value, 1.0).standardised});
    read.centre[i] = static_cast<float>(ToModel(column, value, kBinCentre).standardised);
  }
  read.context.resize(static_cast<std::size_t>(input.conditions.dim()));
  if (!read.context.empty())
    (void)input.conditions.RowToModel(input.context, input.context.rows == 1 ? 0 : row,
                                      read.context);
  return read;
}

void WriteMissing(const ColumnModel& columns, std::span<const float> standardised,
                  std::span<double> row) {
  int i = 0;
  for (int c = 0; c < columns.num_columns(); ++c) {
    const Column& column = columns.columns()[c];
    const bool constant = column.type == ColumnType::kConstant;
    if (std::isnan(row[c]))
      row[c] = constant ? column.constant : FromModel(column, standardised[i]);
    if (!constant) ++i;
  }
}

absl::Status Evaluate(const CompletionInput& input, std::span<FlowPoint* const> points,
                      const std::stop_token& stop) {
  if (points.empty()) return absl::OkStatus();
  const auto count = static_cast<std::int64_t>(points.size());
  const int dim = input.columns.dim();
  const int context_dim = input.conditions.dim();
  Rows<float> x(count, dim), gradient(count, dim);
  Rows<float> context(context_dim == 0 ? 0 : count, context_dim);
  for (std::int64_t r = 0; r < count; ++r) {
    std::ranges::copy(points[r]->x, x.view().row(r).begin());
    if (context_dim > 0) std::ranges::copy(points[r]->context, context.view().row(r).begin());
  }
  std::vector<double> log_prob(points.size());
  MILLRACE_RETURN_IF_ERROR(input.backend.LogProbGradient(input.weights, x.view(), context.view(),
                                                         log_prob, gradient.view(), stop));
  for (std::int64_t r = 0; r < count; ++r) {
    const bool finite = std::isfinite(log_prob[r]);
    points[r]->log_prob = finite ? log_prob[r] : -std::numeric_limits<double>::infinity();
    points[r]->gradient.assign(gradient.view().row(r).begin(), gradient.view().row(r).end());
    for (float& g : points[r]->gradient)
      if (!finite || !std::isfinite(g)) g = 0.0f;
  }
  return absl::OkStatus();
}

absl::StatusOr<Rows<float>> DrawPoints(const CompletionInput& input,
                                       std::span<const SampleKey> keys,
                                       std::span<const std::span<const float>> contexts,
                                       const std::stop_token& stop) {
  Rows<float> points(static_cast<std::int64_t>(keys.size()), input.columns.dim());
  const auto load = [&](const SampleBlock& block) {
    for (std::size_t r = 0; r < block.keys.size(); ++r) {
      const std::size_t from = static_cast<std::size_t>(block.first) + r;
      block.keys[r] = keys[from];
      if (block.context != nullptr)
        std::ranges::copy(contexts[from],
                          block.context + r * static_cast<std::size_t>(input.conditions.dim()));
    }
    return true;
  };
  const auto take = [&](const BlockResult& result) {
    std::copy_n(result.rows.data, result.rows.rows * result.rows.cols,
                points.view().row(result.first).data());
  };
  MILLRACE_RETURN_IF_ERROR(input.backend.Sample(input.weights, points.rows(), load, take,
                                                Backend::SampleValues::kNone, stop));
  return points;
}

std::uint64_t SeedOf(const CompletionOptions& options, DrawPurpose purpose, std::int64_t row,
                     std::uint32_t index) {
  const std::uint64_t r = options.first_row + static_cast<std::uint64_t>(row);
  const auto words = Philox4x32::Generate(
      {static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(r >> 32), index,
       static_cast<std::uint32_t>(purpose)},
      {static_cast<std::uint32_t>(options.seed), static_cast<std::uint32_t>(options.seed >> 32)});
  return (std::uint64_t{words[0]} << 32) | words[1];
}

}  // namespace millrace
