// SPDX-License-Identifier: Apache-2.0
#include "core/data/column_transform.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/data/lattice.h"

namespace millrace {
namespace {

constexpr double kLargest = std::numeric_limits<double>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Distance of single-precision numbers, relative: values may have been rounded to them on their
// way.
constexpr double kSingleSpacing = 0x1p-23;

double LowerOf(const Column& column) { return column.lower.value_or(-kInfinity); }
double UpperOf(const Column& column) { return column.upper.value_or(kInfinity); }

bool InBounds(const Column& column, double value) {
  return value > LowerOf(column) && value < UpperOf(column);
}

bool OnLattice(const Column& column, double point) {
  return point >= column.lowest_point.value_or(-kInfinity) &&
         point <= column.highest_point.value_or(kInfinity);
}

struct Bin {
  double low;
  double high;
};

// Next to a bound it reaches up to that, unless it is known that the lattice ends there.
Bin BinOf(const Column& column, double point) {
  const double width = column.bin_width;
  const bool to_lower = point - width <= LowerOf(column) && !column.lowest_point;
  const bool to_upper = point + width >= UpperOf(column) && !column.highest_point;
  return {to_lower ? LowerOf(column) : point - 0.5 * width,
          to_upper ? UpperOf(column) : point + 0.5 * width};
}

double IntoBounds(const Column& column, double value) {
  if (column.lower && value <= *column.lower) return std::nextafter(*column.lower, kInfinity);
  if (column.upper && value >= *column.upper) return std::nextafter(*column.upper, -kInfinity);
  return std::clamp(value, -kLargest, kLargest);
}

struct Unbounded {
  double value;
  double log_slope;  // log of d value / d bounded
};

// Logit of (v - lower) / (upper - lower), or the log of the distance to the only bound.
Unbounded RemoveBounds(const Column& column, double v) {
  if (!column.lower && !column.upper) return {v, 0.0};
  const double above = column.lower ? std::log(v - *column.lower) : 0.0;
  const double below = column.upper ? std::log(*column.upper - v) : 0.0;
  const double span = column.lower && column.upper ? std::log(*column.upper - *column.lower) : 0.0;
  return {above - below, span - above - below};
}

double RestoreBounds(const Column& column, double t) {
  if (column.lower && column.upper) {
    // From the nearer bound, so that no digits are lost beside it.
    const double span = *column.upper - *column.lower;
    const double share = std::exp(-std::abs(t)) / (1.0 + std::exp(-std::abs(t)));
    return t < 0.0 ? *column.lower + span * share : *column.upper - span * share;
  }
  if (column.lower) return *column.lower + std::exp(t);
  if (column.upper) return *column.upper - std::exp(-t);
  return t;
}

}  // namespace

PlacedValue Place(const Column& column, double value, double position) {
  constexpr PlacedValue kOutside{0.0, 0.0, false};
  double log_share = 0.0;
  if (column.type == ColumnType::kDiscrete) {
    const double point = NearestLatticePoint(column.lattice_origin, column.bin_width, value);
    const double allowed =
        column.lattice_tolerance * column.bin_width + kSingleSpacing * std::abs(value);
    if (!(std::abs(value - point) <= allowed) || !InBounds(column, point) ||
        !OnLattice(column, point))
      return kOutside;
    const Bin bin = BinOf(column, point);
    value = IntoBounds(column, bin.low + position * (bin.high - bin.low));
    log_share = std::log((bin.high - bin.low) / column.bin_width);
  } else if (!InBounds(column, value)) {
    return kOutside;
  } else if (column.bin_width > 0.0) {
    value += (position - 0.5) * column.bin_width;
  }
  const Unbounded unbounded = RemoveBounds(column, value);
  return {unbounded.value, log_share + unbounded.log_slope, true};
}

ModelValue ToModel(const Column& column, double value, double position) {
  const PlacedValue placed = Place(column, value, position);
  if (!placed.in_support) return {0.0, 0.0, false};
  double standardised = (placed.value - column.center) / column.scale;
  double log_det = placed.log_det - std::log(column.scale);
  const double distance = std::min(std::abs(standardised), kLargest);
  if (distance > kFarthest) {
    const double beyond = std::log(distance / kFarthest);
    standardised = std::copysign(kFarthest * (1.0 + beyond), standardised);
    log_det -= beyond;
  }
  return {standardised, log_det, true};
}

double FromModel(const Column& column, double standardised) {
  if (std::isnan(standardised)) return standardised;
  const double distance = std::abs(standardised);
  if (distance > kFarthest)
    standardised = std::copysign(kFarthest * std::exp(distance / kFarthest - 1.0), standardised);
  const double t = column.center + standardised * column.scale;
  const double value = IntoBounds(column, RestoreBounds(column, t));
  if (column.type != ColumnType::kDiscrete) return value;
  double point = NearestLatticePoint(column.lattice_origin, column.bin_width, value);
  if (point <= LowerOf(column)) point += column.bin_width;
  if (point >= UpperOf(column)) point -= column.bin_width;
  return std::clamp(point, column.lowest_point.value_or(-kInfinity),
                    column.highest_point.value_or(kInfinity));
}

}  // namespace millrace
