// SPDX-License-Identifier: Apache-2.0
// The chain of one fitted column that is not constant: value <-> what the flow sees.
#ifndef MILLRACE_CORE_DATA_COLUMN_TRANSFORM_H_
#define MILLRACE_CORE_DATA_COLUMN_TRANSFORM_H_

#include "core/data/column.h"

namespace millrace {

// Standardised values u further out than this go on as kFarthest (1 + ln(|u| / kFarthest)), so that
// every double is a modest float and densities stay densities.
inline constexpr double kFarthest = 1e6;
inline constexpr double kLargestStandardised = 697.0 * kFarthest;  // of the largest double

// Noise or a fixed offset places a value inside its bin; 0.5 is the centre.
inline constexpr double kBinCentre = 0.5;

struct ModelValue {
  double standardised = 0.0;  // within +-kLargestStandardised; 0 out of support
  double log_det = 0.0;    // log|d standardised / d value|; for a bin, times its share of bin_width
  bool in_support = true;  // within bounds, and on the lattice of a discrete column
};

// The chain up to its standardisation.
struct PlacedValue {
  double value = 0.0;
  double log_det = 0.0;
  bool in_support = true;
};

// `value` finite; `position` in (0, 1) is where in its bin it is placed.
PlacedValue Place(const Column& column, double value, double position);
ModelValue ToModel(const Column& column, double value, double position);

// Back to the user's units: on the lattice, inside the bounds, finite; NaN stays NaN.
double FromModel(const Column& column, double standardised);

}  // namespace millrace

#endif  // MILLRACE_CORE_DATA_COLUMN_TRANSFORM_H_
