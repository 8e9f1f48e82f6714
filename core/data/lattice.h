// SPDX-License-Identifier: Apache-2.0
// Finds the lattice origin + k * width on which the values of a column lie, if there is one.
#ifndef MILLRACE_CORE_DATA_LATTICE_H_
#define MILLRACE_CORE_DATA_LATTICE_H_

#include <optional>
#include <span>

namespace millrace {

struct Lattice {
  double origin = 0.0;     // the lattice point nearest to 0
  double width = 0.0;      // > 0
  double tolerance = 0.0;  // in widths: what counts as on the lattice, in [1e-3, 0.1]
};

// True when every value is an integer that a double tells from its neighbours.
bool AreIntegers(std::span<const double> values);

// The widest lattice that holds `values`, which are distinct, finite, ascending and at least two.
// Integers: exactly, the greatest common divisor of their gaps. Others: the width is the smallest
// gap over 1 .. 8, refined over all gaps, and at least `finest`; values may lie 2 % of a width off
// their points, as numbers written with few digits do, provided that chance would put so many
// values so near to some lattice less than once in 1000 columns. Nothing where no such lattice
// exists.
std::optional<Lattice> FindLattice(std::span<const double> values, double finest);

// The lattice of the given width that lies best through the values; nothing where a value lies more
// than a tenth of a width off it.
std::optional<Lattice> FitLattice(std::span<const double> values, double width);

// The point of the lattice nearest to `value`.
double NearestLatticePoint(double origin, double width, double value);

}  // namespace millrace

#endif  // MILLRACE_CORE_DATA_LATTICE_H_
