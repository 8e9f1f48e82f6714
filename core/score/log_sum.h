// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_SCORE_LOG_SUM_H_
#define MILLRACE_CORE_SCORE_LOG_SUM_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace millrace {

// log(sum of exp(values)), in the order given. -infinity for no values; NaN and +infinity, which a
// density that overflowed may leave, count as -infinity.
inline double LogSumExp(std::span<const double> values) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double largest = -kInfinity;
  for (const double v : values) {
    if (v > largest && v < kInfinity) largest = v;
  }
  if (largest == -kInfinity) return largest;
  double sum = 0.0;
  for (const double v : values) {
    if (v <= largest) sum += std::exp(v - largest);
  }
  return largest + std::log(sum);
}

inline double LogMeanExp(std::span<const double> values) {
  if (values.size() == 1) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return values[0] < kInfinity ? values[0] : -kInfinity;
  }
  return LogSumExp(values) - std::log(static_cast<double>(values.size()));
}

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_LOG_SUM_H_
