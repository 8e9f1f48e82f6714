// SPDX-License-Identifier: Apache-2.0
// A table with a column of every kind, and its column model.
#ifndef MILLRACE_TESTS_CORE_DATA_EVERY_KIND_H_
#define MILLRACE_TESTS_CORE_DATA_EVERY_KIND_H_

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/data/column_model.h"
#include "core/math/uniform.h"

namespace millrace {

inline constexpr int kRows = 400;
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// One column of every kind: real, bounded on both sides, below, above, integers, integers above a
// bound, tied, constant.
inline const std::vector<ColumnSpec>& Specs() {
  static const std::vector<ColumnSpec> specs = {{.name = "real"},
                                                {.name = "share", .lower = 0.0, .upper = 1.0},
                                                {.name = "above", .lower = -2.0},
                                                {.name = "below", .upper = 5.0},
                                                {.name = "count"},
                                                {.name = "positive count", .lower = 0.0},
                                                {.name = "tied"},
                                                {.name = "constant"}};
  return specs;
}

inline Rows<double> Table(int rows = kRows) {
  Rows<double> table(rows, static_cast<int>(Specs().size()));
  for (int r = 0; r < rows; ++r) {
    const auto u = [r](std::uint32_t c) { return UniformAt(7, 1, r, c); };
    table(r, 0) = 1000 + 3 * u(0);
    table(r, 1) = u(1) * u(1);
    table(r, 2) = -2.0 - std::log(u(2));
    table(r, 3) = 5.0 + std::log(u(3));
    table(r, 4) = std::floor(9 * u(4)) - 4;
    table(r, 5) = std::floor(4 * u(5)) + 1;
    table(r, 6) = u(6) < 0.4 ? 0.0 : u(7);
    table(r, 7) = 0.1;
  }
  return table;
}

inline ColumnModel Fitted() {
  const Rows<double> table = Table();
  absl::StatusOr<ColumnModel> model = ColumnModel::Fit(Specs(), table.view());
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

struct Scored {
  Rows<float> x;
  std::vector<double> log_det;
  std::vector<std::uint8_t> outside;
};

inline Scored ToModel(const ColumnModel& model, RowsView<const double> rows, int offset) {
  Scored scored{Rows<float>(rows.rows, model.dim()), std::vector<double>(rows.rows),
                std::vector<std::uint8_t>(rows.rows)};
  model.ToModel(rows, offset, scored.x.view(), scored.log_det, scored.outside);
  return scored;
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_DATA_EVERY_KIND_H_
