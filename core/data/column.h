// SPDX-License-Identifier: Apache-2.0
// What a caller says of a column, and what fitting makes of it. Plain values; the model file stores
// them.
#ifndef MILLRACE_CORE_DATA_COLUMN_H_
#define MILLRACE_CORE_DATA_COLUMN_H_

#include <optional>
#include <string>

namespace millrace {

// What a caller says of a column; everything but the name may be left to Fit.
enum class ColumnType { kAuto, kContinuous, kDiscrete, kConstant, kCategorical, kPixel };

// Whether a table's column x has a density or is a condition c of it: p(x | c).
enum class ColumnRole { kFeature, kCondition };

struct ColumnSpec {
  std::string name = {};  // unique, not empty
  // kPixel: integers from 0 to 255, fitted as kDiscrete of width 1 with bounds, but never constant,
  // and all such columns alike: one centre and scale, and a deviation of 1, so that standardised
  // nats are nats of the integers. kConstant is found, never asked for. kCategorical is for
  // conditions only, which are that or kContinuous (kAuto), without bounds and bins.
  ColumnType type = ColumnType::kAuto;
  // Density is zero at and beyond a bound.
  std::optional<double> lower = std::nullopt;
  std::optional<double> upper = std::nullopt;
  // Distance of neighbouring lattice points, > 0; makes kAuto kDiscrete, contradicts kContinuous.
  std::optional<double> bin_width = std::nullopt;
  ColumnRole role = ColumnRole::kFeature;
};

// A fitted column with a density. The chain of a column that is not constant:
//   value -> point of its bin (bin_width > 0) -> logit/log of its bounds -> (v - center) / scale
//
// The density of a discrete column is constant over a bin: P(lattice point) / bin_width. Bins are
// bin_width wide and centred on their points; the outermost ones within bounds reach to the bound,
// so that no mass lies outside the lattice. Where it is known where the lattice ends (pixels), they
// do not: what a flow puts beyond counts for nothing.
//
// A continuous column with bin_width > 0 is tied: one value (or few) is repeated so often that its
// true density there is infinite, but no lattice holds all values (say 60 % zeros and real numbers
// above). Its density is the mean over a window of bin_width centred on the value, which is a
// density again and caps the spike at P(value) / bin_width. Samples of such a column are not moved
// back to the spike.
struct Column {
  std::string name = {};
  ColumnType type = ColumnType::kContinuous;
  double mean = 0.0;       // of the raw values
  double deviation = 1.0;  // of the raw values, > 0: the unit of "standardised nats"
  std::optional<double> lower = std::nullopt;
  std::optional<double> upper = std::nullopt;
  double lattice_origin = 0.0;  // kDiscrete: lattice points are origin + k * bin_width
  // kDiscrete: values this far from their point, in bin widths, are on it: a rounding error where
  // the lattice was declared; half a bin, so every value, where it was only found.
  double lattice_tolerance = 0.0;
  // kDiscrete: where the lattice ends, if it does.
  std::optional<double> lowest_point = std::nullopt;
  std::optional<double> highest_point = std::nullopt;
  double bin_width = 0.0;  // kDiscrete: > 0; kContinuous: > 0 where tied, else 0
  double center = 0.0;     // standardisation of what the flow sees
  double scale = 1.0;
  double constant = 0.0;  // kConstant: its value

  friend bool operator==(const Column&, const Column&) = default;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_DATA_COLUMN_H_
