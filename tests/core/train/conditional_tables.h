// SPDX-License-Identifier: Apache-2.0
// Tables of rows and conditions, whose conditional density is known.
#ifndef MILLRACE_TESTS_CORE_TRAIN_CONDITIONAL_TABLES_H_
#define MILLRACE_TESTS_CORE_TRAIN_CONDITIONAL_TABLES_H_

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "core/base/rows.h"
#include "core/data/column.h"

namespace millrace {

// c is uniform, k a label; x is normal about a wave of c, as wide as its label says.
struct Wave {
  static constexpr double kLabels[] = {-3.0, 10.0};
  static constexpr double kDeviations[] = {0.15, 0.6};

  static double Mean(double c) { return std::sin(2.0 * std::numbers::pi * c); }
  static double LogDensity(double x, double c, double k) {
    const double deviation = kDeviations[k == kLabels[0] ? 0 : 1];
    const double z = (x - Mean(c)) / deviation;
    return -0.5 * z * z - std::log(deviation) - 0.5 * std::log(2.0 * std::numbers::pi);
  }
  // Columns c, x and k.
  static Rows<double> Table(std::int64_t rows, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> uniform;
    Rows<double> table(rows, 3);
    for (std::int64_t r = 0; r < rows; ++r) {
      const int label = static_cast<int>(random() % 2);
      table(r, 0) = uniform(random);
      table(r, 1) = Mean(table(r, 0)) + kDeviations[label] * normal(random);
      table(r, 2) = kLabels[label];
    }
    return table;
  }
  static std::vector<ColumnSpec> Columns() {
    return {{.name = "c", .role = ColumnRole::kCondition},
            {.name = "x"},
            {.name = "k", .type = ColumnType::kCategorical, .role = ColumnRole::kCondition}};
  }
};

inline Rows<double> Columns(const Rows<double>& table, const std::vector<int>& columns) {
  Rows<double> out(table.rows(), static_cast<int>(columns.size()));
  for (std::int64_t r = 0; r < out.rows(); ++r)
    for (int c = 0; c < out.cols(); ++c) out(r, c) = table(r, columns[c]);
  return out;
}

inline Rows<double> OneRow(const std::vector<double>& values) {
  Rows<double> row(1, static_cast<int>(values.size()));
  std::copy(values.begin(), values.end(), row.data());
  return row;
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_TRAIN_CONDITIONAL_TABLES_H_
