// SPDX-License-Identifier: Apache-2.0
#include "core/train/split.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

Rows<double> Take(RowsView<const double> rows, std::span<const std::int64_t> order,
                  std::span<const int> columns) {
  if (columns.empty()) return {};
  Rows<double> taken(static_cast<std::int64_t>(order.size()), static_cast<int>(columns.size()));
  for (std::int64_t r = 0; r < taken.rows(); ++r)
    for (int c = 0; c < taken.cols(); ++c) taken(r, c) = rows(order[r], columns[c]);
  return taken;
}

}  // namespace

absl::StatusOr<Split> SplitRows(RowsView<const double> rows, std::span<const Condition> conditions,
                                const HeldOutRows& sizes, std::uint64_t seed) {
  const std::int64_t fit = rows.rows - sizes.validation - sizes.calibration;
  if (fit < 2)
    return InvalidArgument("options.calibration_fraction",
                           absl::StrCat(sizes.validation, " and ", sizes.calibration, " of ",
                                        rows.rows, " rows held out"),
                           "validation_fraction and calibration_fraction that leave rows to fit");
  std::vector<std::int64_t> order(static_cast<std::size_t>(rows.rows));
  std::iota(order.begin(), order.end(), 0);
  Shuffle(order, order.size(), seed, 1);
  const std::span<const std::int64_t> all = order;
  const auto known = all.first(static_cast<std::size_t>(rows.rows - sizes.calibration));
  const auto held_out = all.subspan(known.size());
  std::vector<int> features, context;
  for (int c = 0; c < rows.cols; ++c) {
    const bool is_condition = std::ranges::count(conditions, c, &Condition::position) > 0;
    (is_condition ? context : features).push_back(c);
  }
  return Split{.known = Take(rows, known, features),
               .known_context = Take(rows, known, context),
               .fit_rows = fit,
               .held_out = Take(rows, held_out, features),
               .held_out_context = Take(rows, held_out, context)};
}

}  // namespace millrace
