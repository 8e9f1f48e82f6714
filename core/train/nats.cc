// SPDX-License-Identifier: Apache-2.0
#include "core/train/nats.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace millrace {

Nats NatsOf(std::span<const double> log_prob, double offset) {
  Nats nats;
  double sum = 0.0, squares = 0.0;
  for (double value : log_prob) {
    if (!std::isfinite(value)) continue;
    ++nats.rows;
    sum += value + offset;
  }
  if (nats.rows == 0) return nats;
  const auto n = static_cast<double>(nats.rows);
  nats.mean = sum / n;
  for (double value : log_prob)
    if (std::isfinite(value))
      squares += (value + offset - nats.mean) * (value + offset - nats.mean);
  nats.standard_error = std::sqrt(squares / n / std::max(1.0, n - 1.0));
  return nats;
}

Nats Advantage(std::span<const double> flow, std::span<const double> gaussian) {
  std::vector<double> difference;
  for (std::size_t r = 0; r < flow.size(); ++r) {
    if (!std::isfinite(gaussian[r])) continue;
    if (!std::isfinite(flow[r]))
      return {.rows = 1, .mean = -std::numeric_limits<double>::infinity()};
    difference.push_back(flow[r] - gaussian[r]);
  }
  return NatsOf(difference, 0.0);
}

}  // namespace millrace
