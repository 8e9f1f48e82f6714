// SPDX-License-Identifier: Apache-2.0
// Numbers to compare with: determinants, central differences, largest deviations. All in double.
#ifndef MILLRACE_TESTS_SUPPORT_NUMERIC_H_
#define MILLRACE_TESTS_SUPPORT_NUMERIC_H_

#include <algorithm>
#include <cmath>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "core/base/rows.h"

namespace millrace {

// log|det| of a square row-major matrix, by elimination with partial pivoting; -inf where it is
// singular.
inline double LogAbsDeterminant(Rows<double> m) {
  const int n = m.cols();
  double log_det = 0.0;
  for (int k = 0; k < n; ++k) {
    int pivot = k;
    for (int i = k + 1; i < n; ++i)
      if (std::fabs(m(i, k)) > std::fabs(m(pivot, k))) pivot = i;
    for (int j = 0; j < n; ++j) std::swap(m(k, j), m(pivot, j));
    log_det += std::log(std::fabs(m(k, k)));
    if (m(k, k) == 0.0) return log_det;
    for (int i = k + 1; i < n; ++i) {
      const double factor = m(i, k) / m(k, k);
      for (int j = k; j < n; ++j) m(i, j) -= factor * m(k, j);
    }
  }
  return log_det;
}

// d function / d variable at its present value; `function` reads the variable.
template <typename Function>
double CentralDifference(double& variable, double step, Function&& function) {
  const double value = variable;
  variable = value + step;
  const double above = function();
  variable = value - step;
  const double below = function();
  variable = value;
  return (above - below) / (2 * step);
}

inline double MaxAbs(std::span<const double> values) {
  double largest = 0.0;
  for (const double v : values) largest = std::max(largest, std::fabs(v));
  return largest;
}

// The largest |a - b|; NaN where any is NaN or the sizes differ.
inline double MaxAbsDifference(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) return std::nan("");
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(a[i] - b[i]);
    if (std::isnan(difference)) return difference;
    largest = std::max(largest, difference);
  }
  return largest;
}

inline std::span<const double> Values(const Rows<double>& rows) {
  return {rows.data(), static_cast<std::size_t>(rows.rows()) * rows.cols()};
}

// Normals that floats hold exactly, so that float and double kernels are given the same numbers.
inline double RandomNormal(std::mt19937_64& random, double scale = 1.0) {
  return static_cast<float>(std::normal_distribution<double>(0.0, scale)(random));
}

inline Rows<double> RandomRows(std::mt19937_64& random, int rows, int cols, double scale = 1.0) {
  Rows<double> values(rows, cols);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c) values(r, c) = RandomNormal(random, scale);
  return values;
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_NUMERIC_H_
