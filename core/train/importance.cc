// SPDX-License-Identifier: Apache-2.0
#include "core/train/importance.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/base/check.h"
#include "core/train/nats.h"

namespace millrace {

DensityFit Compare(std::span<const double> log_q, std::span<const double> log_p, bool normalised) {
  MILLRACE_CHECK(log_q.size() == log_p.size() && !log_q.empty());
  const auto n = static_cast<double>(log_q.size());
  std::vector<double> log_weight(log_q.size());
  for (std::size_t i = 0; i < log_q.size(); ++i) log_weight[i] = log_p[i] - log_q[i];
  const double largest = *std::ranges::max_element(log_weight);
  MILLRACE_CHECK(std::isfinite(largest));
  double sum = 0.0, squares = 0.0;
  for (const double v : log_weight) {
    const double weight = std::exp(v - largest);
    sum += weight;
    squares += weight * weight;
  }
  const Nats inside = NatsOf(log_weight, 0.0);
  DensityFit fit;
  fit.samples = static_cast<std::int64_t>(log_q.size());
  fit.log_normaliser = largest + std::log(sum / n);
  fit.effective_sample_fraction = sum * sum / (n * squares);
  // The relative error of a mean is that of its logarithm.
  fit.log_normaliser_error =
      std::sqrt(std::max(0.0, 1.0 / fit.effective_sample_fraction - 1.0) / n);
  fit.divergence = (normalised ? 0.0 : fit.log_normaliser) - inside.mean;
  fit.divergence_error = inside.standard_error;
  fit.outside_fraction = 1.0 - static_cast<double>(inside.rows) / n;
  return fit;
}

}  // namespace millrace
