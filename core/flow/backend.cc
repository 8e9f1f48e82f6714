// SPDX-License-Identifier: Apache-2.0
#include "core/flow/backend.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

// Rows [first, first + count), or nothing where there are none.
void CopyRows(RowsView<const float> from, std::int64_t first, std::int64_t count, float* to) {
  if (from.rows != 0) std::copy_n(from.data + first * from.cols, count * from.cols, to);
}

auto LoadFrom(RowsView<const float> x, RowsView<const float> context) {
  return [=](const RowBlock& block) {
    CopyRows(x, block.first, block.count, block.x);
    CopyRows(context, block.first, block.count, block.context);
    return true;
  };
}

// Either may be empty: then nobody asks.
auto TakeInto(RowsView<float> out, std::span<double> values) {
  return [=](const BlockResult& result) {
    if (out.data != nullptr)
      std::copy_n(result.rows.data, result.rows.rows * out.cols,
                  out.data + result.first * out.cols);
    if (!values.empty())
      std::ranges::copy(result.values, values.begin() + static_cast<std::ptrdiff_t>(result.first));
  };
}

}  // namespace

absl::Status Backend::CheckContext(const Flow& flow, std::int64_t rows,
                                   RowsView<const float> context) {
  const int context_dim = flow.spec().context_dim;
  const std::int64_t wanted_rows = context_dim == 0 ? 0 : rows;
  if (context.rows == wanted_rows && (context.rows == 0 || context.cols == context_dim))
    return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("context: ", context.rows, " rows of ",
                                                 context.cols, " columns; expected ", wanted_rows,
                                                 " of ", context_dim));
}

absl::Status Backend::LogProb(const DeviceWeights& weights, RowsView<const float> x,
                              RowsView<const float> context, std::span<double> log_prob,
                              std::stop_token stop) {
  MILLRACE_RETURN_IF_ERROR(CheckContext(weights.flow(), x.rows, context));
  return LogProb(weights, x.rows, LoadFrom(x, context), TakeInto({}, log_prob), std::move(stop));
}

absl::Status Backend::Forward(const DeviceWeights& weights, RowsView<const float> x,
                              RowsView<const float> context, RowsView<float> out,
                              std::span<double> log_det, std::stop_token stop) {
  MILLRACE_RETURN_IF_ERROR(CheckContext(weights.flow(), x.rows, context));
  return Forward(weights, x.rows, LoadFrom(x, context), TakeInto(out, log_det), std::move(stop));
}

absl::Status Backend::Inverse(const DeviceWeights& weights, RowsView<const float> z,
                              RowsView<const float> context, RowsView<float> out,
                              std::span<double> log_det, std::stop_token stop) {
  MILLRACE_RETURN_IF_ERROR(CheckContext(weights.flow(), z.rows, context));
  return Inverse(weights, z.rows, LoadFrom(z, context), TakeInto(out, log_det), std::move(stop));
}

absl::Status Backend::Sample(const DeviceWeights& weights, std::uint64_t seed,
                             std::uint64_t first_row, double temperature,
                             RowsView<const float> context, RowsView<float> out,
                             std::span<double> log_prob, std::stop_token stop) {
  MILLRACE_RETURN_IF_ERROR(CheckContext(weights.flow(), out.rows, context));
  const auto load = [&](const SampleBlock& block) {
    const std::uint64_t first = first_row + static_cast<std::uint64_t>(block.first);
    for (std::size_t r = 0; r < block.keys.size(); ++r)
      block.keys[r] = {seed, first + r, temperature};
    CopyRows(context, block.first, static_cast<std::int64_t>(block.keys.size()), block.context);
    return true;
  };
  return Sample(weights, out.rows, load, TakeInto(out, log_prob),
                log_prob.empty() ? SampleValues::kNone : SampleValues::kLogProb, std::move(stop));
}

}  // namespace millrace
