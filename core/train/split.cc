// SPDX-License-Identifier: Apache-2.0
#include "core/train/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

Rows<double> Take(RowsView<const double> rows, std::span<const std::int64_t> order) {
  Rows<double> taken(static_cast<std::int64_t>(order.size()), rows.cols);
  for (std::size_t r = 0; r < order.size(); ++r)
    std::ranges::copy(rows.row(order[r]), taken.view().row(static_cast<std::int64_t>(r)).begin());
  return taken;
}

}  // namespace

absl::StatusOr<Split> SplitRows(RowsView<const double> rows, const TrainOptions& options,
                                std::uint64_t seed) {
  const auto part = [&](double fraction) {
    return std::max<std::int64_t>(1, std::llround(fraction * static_cast<double>(rows.rows)));
  };
  const std::int64_t calibration = part(options.calibration_fraction);
  const std::int64_t fit = rows.rows - part(options.validation_fraction) - calibration;
  if (fit < 2)
    return InvalidArgument("options.calibration_fraction",
                           absl::StrCat(options.calibration_fraction),
                           "validation_fraction and calibration_fraction that leave rows to fit");
  std::vector<std::int64_t> order(static_cast<std::size_t>(rows.rows));
  std::iota(order.begin(), order.end(), 0);
  Shuffle(order, order.size(), seed, 1);
  const std::span<const std::int64_t> all = order;
  const auto known = static_cast<std::size_t>(rows.rows - calibration);
  return Split{.known = Take(rows, all.first(known)),
               .fit_rows = fit,
               .calibration = Take(rows, all.subspan(known))};
}

}  // namespace millrace
