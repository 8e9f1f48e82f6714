// SPDX-License-Identifier: Apache-2.0
#include "core/data/lattice.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace millrace {
namespace {

constexpr double kLargestInteger = 9007199254740992.0;  // 2^53
constexpr double kMostOff = 0.02;                       // residual of a found lattice, in widths
constexpr double kMostOffGiven = 0.1;                   // of one whose width was given
constexpr double kLeastTolerance = 1e-3;
constexpr double kMostTolerance = 0.1;
constexpr double kChance = 1e-3;  // of a lattice that is none
constexpr int kMostDivisors = 8;  // of the smallest gap

double Tolerance(double most_off) {
  return std::clamp(4.0 * most_off, kLeastTolerance, kMostTolerance);
}

Lattice IntegerLattice(std::span<const double> values) {
  std::int64_t divisor = 0;
  for (std::size_t i = 1; i < values.size(); ++i)
    divisor = std::gcd(divisor, static_cast<std::int64_t>(values[i] - values[i - 1]));
  const double width = static_cast<double>(divisor);
  return {std::remainder(values[0], width), width, kLeastTolerance};
}

// Values nearer to each other than `distance` are one lattice point, seen through rounding.
std::vector<double> Clusters(std::span<const double> values, double distance) {
  std::vector<double> centres;
  for (std::size_t begin = 0, end; begin < values.size(); begin = end) {
    for (end = begin + 1; end < values.size() && values[end] - values[end - 1] < distance;) ++end;
    centres.push_back(values[begin] + 0.5 * (values[end - 1] - values[begin]));
  }
  return centres;
}

// The width nearest to `width` that divides all gaps (ascending): small gaps, whose multiple is
// beyond doubt, settle the width before it decides the multiples of larger ones.
double Refine(double width, std::span<const double> gaps) {
  double length = 0.0;
  double steps = 0.0;
  for (const double gap : gaps) {
    length += gap;
    steps += std::round(gap / width);
    width = length / steps;
  }
  return width;
}

// Least-squares origin and width for points that are `width` apart, and the largest residual in
// widths.
std::pair<Lattice, double> Regress(std::span<const double> points, double width) {
  std::vector<double> steps(points.size(), 0.0);
  for (std::size_t i = 1; i < points.size(); ++i)
    steps[i] = steps[i - 1] + std::round((points[i] - points[i - 1]) / width);
  const double n = static_cast<double>(points.size());
  const double mean_step = std::accumulate(steps.begin(), steps.end(), 0.0) / n;
  double mean = 0.0;
  for (const double point : points) mean += (point - points[0]) / n;
  double covariance = 0.0;
  double variance = 0.0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    covariance += (steps[i] - mean_step) * (points[i] - points[0] - mean);
    variance += (steps[i] - mean_step) * (steps[i] - mean_step);
  }
  const double fitted = covariance / variance;
  const double start = points[0] + mean - mean_step * fitted;
  double most_off = 0.0;
  for (std::size_t i = 0; i < points.size(); ++i)
    most_off = std::max(most_off, std::abs(points[i] - start - steps[i] * fitted) / fitted);
  return {{std::remainder(start, fitted), fitted, Tolerance(most_off)}, most_off};
}

// Two points fix a lattice, of which each of `levels` times `divisor` was as good a choice; each
// further point would fall so near to it by chance with probability 2 most_off.
bool BeyondChance(std::size_t points, double most_off, double levels, int divisor) {
  const double free_points = static_cast<double>(points) - 2.0;
  if (free_points < 1.0) return divisor == 1;
  return free_points * std::log(2.0 * std::max(most_off, 1e-12)) + std::log(levels * divisor) <
         std::log(kChance);
}

}  // namespace

bool AreIntegers(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) {
    return std::abs(v) <= kLargestInteger && v == std::nearbyint(v);
  });
}

std::optional<Lattice> FindLattice(std::span<const double> values, double finest) {
  if (AreIntegers(values)) return IntegerLattice(values);
  const std::vector<double> points = Clusters(values, 2.0 * kMostOff * finest);
  if (points.size() < 2) return std::nullopt;
  std::vector<double> gaps(points.size() - 1);
  for (std::size_t i = 0; i < gaps.size(); ++i) gaps[i] = points[i + 1] - points[i];
  std::sort(gaps.begin(), gaps.end());
  for (int divisor = 1; divisor <= kMostDivisors; ++divisor) {
    const double width = Refine(gaps[0] / divisor, gaps);
    if (!(width >= (1.0 - 2.0 * kMostOff) * finest)) break;
    const auto [lattice, most_off] = Regress(points, width);
    const double levels = (points.back() - points.front()) / lattice.width;
    if (most_off <= kMostOff && BeyondChance(points.size(), most_off, levels, divisor))
      return lattice;
  }
  return std::nullopt;
}

std::optional<Lattice> FitLattice(std::span<const double> values, double width) {
  const auto off = [width](double value, double origin) {
    return std::remainder(value - origin, width) / width;
  };
  double sum = 0.0;
  for (const double value : values) sum += off(value, values[0]);
  const double origin = values[0] + sum / static_cast<double>(values.size()) * width;
  double most_off = 0.0;
  for (const double value : values) most_off = std::max(most_off, std::abs(off(value, origin)));
  if (most_off > kMostOffGiven) return std::nullopt;
  return Lattice{std::remainder(origin, width), width, Tolerance(most_off)};
}

double NearestLatticePoint(double origin, double width, double value) {
  return origin + std::nearbyint((value - origin) / width) * width;
}

}  // namespace millrace
