// SPDX-License-Identifier: Apache-2.0
#include "core/score/point_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/score/log_sum.h"

namespace millrace {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNarrow = 0.7;
constexpr double kWide = 2.5;
constexpr double kWideShare = 0.2;
constexpr double kEqualShare = 0.1;  // of the weights, spread over all points
constexpr double kLeastEffective = 0.25;
constexpr double kLeastPower = 1e-4;

// (sum w)^2 / sum w^2 of weights given by their logarithms.
double EffectiveCount(std::span<const double> log_weights) {
  std::vector<double> doubled(log_weights.begin(), log_weights.end());
  for (double& w : doubled) w *= 2.0;
  return std::exp(2.0 * LogSumExp(log_weights) - LogSumExp(doubled));
}

}  // namespace

PointMixture::PointMixture(std::vector<double> points, std::span<const double> log_density,
                           std::vector<double> scales)
    : points_(std::move(points)), scales_(std::move(scales)) {
  const auto n = static_cast<double>(log_density.size());
  log_weights_.assign(log_density.size(), -std::log(n));
  std::vector<double> ratios(log_density.size(), -kInfinity);
  for (std::size_t i = 0; i < ratios.size(); ++i)
    if (std::isfinite(log_density[i])) ratios[i] = log_density[i] - LogDensity(point(i));
  if (LogSumExp(ratios) == -kInfinity) return;
  for (double power = 1.0; EffectiveCount(ratios) < kLeastEffective * n && power > kLeastPower;
       power *= 0.5)
    for (double& ratio : ratios) ratio *= 0.5;
  const double total = LogSumExp(ratios);
  for (std::size_t i = 0; i < ratios.size(); ++i)
    log_weights_[i] = std::log((1.0 - kEqualShare) * std::exp(ratios[i] - total) + kEqualShare / n);
}

std::size_t PointMixture::Choose(double uniform) const {
  for (std::size_t i = 0; i < log_weights_.size(); ++i) {
    uniform -= std::exp(log_weights_[i]);
    if (uniform < 0.0) return i;
  }
  return log_weights_.size() - 1;
}

void PointMixture::Draw(double choice, double width, std::span<const double> normals,
                        std::span<double> out) const {
  const std::span<const double> from = point(Choose(choice));
  const double spread = width < kWideShare ? kWide : kNarrow;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = from[i] + spread * scales_[i] * normals[i];
}

double PointMixture::LogDensity(std::span<const double> x) const {
  const auto columns = static_cast<double>(x.size());
  const double narrow = std::log(1.0 - kWideShare) - columns * std::log(kNarrow);
  const double wide = std::log(kWideShare) - columns * std::log(kWide);
  std::vector<double> terms;
  terms.reserve(2 * log_weights_.size());
  for (std::size_t p = 0; p < log_weights_.size(); ++p) {
    const std::span<const double> from = point(p);
    double squares = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double d = (x[i] - from[i]) / scales_[i];
      squares += d * d;
    }
    terms.push_back(log_weights_[p] + narrow - 0.5 * squares / (kNarrow * kNarrow));
    terms.push_back(log_weights_[p] + wide - 0.5 * squares / (kWide * kWide));
  }
  return LogSumExp(terms);
}

}  // namespace millrace
