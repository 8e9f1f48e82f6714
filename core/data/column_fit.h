// SPDX-License-Identifier: Apache-2.0
// Learns one column from its values.
#ifndef MILLRACE_CORE_DATA_COLUMN_FIT_H_
#define MILLRACE_CORE_DATA_COLUMN_FIT_H_

#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/column.h"

namespace millrace {

// Fixed offsets a row with bins is scored at.
inline constexpr int kNumOffsets = 8;

// A spec on its own: name, type, bounds, bin width. INVALID_ARGUMENT; `index` says which column it
// is.
absl::Status CheckColumnSpec(const ColumnSpec& spec, int index);

// Values and bounds up to 1e150 and deviations from 1e-150 upwards are computed with;
// INVALID_ARGUMENT beyond. The spec has passed CheckColumnSpec.
//
// What kAuto becomes, for n values of which m are distinct:
//   kConstant    m = 1.
//   kDiscrete    integers that repeat (n >= 2 m), or other values on a lattice that repeat more
//                (n >= 4 m) and is no finer than an 80th of the deviation. So numbers with a fixed
//                count of significant digits, and fine decimals, stay continuous.
//   kContinuous  all else; tied (see Column), with windows of a 40th of the deviation, where the
//                commonest value has 5 % of the rows (and at least 8), or 256 values or fewer
//                repeat tenfold. Not where bounds are declared: there a spike keeps the density the
//                flow gives it, which is finite.
// Declared kDiscrete, all values must lie on a lattice, of the declared width if there is one;
// declared kContinuous, nothing is tied. Of kPixel without bounds, the logit sees
// margin + (1 - 2 margin) (value + u) / 256.
absl::StatusOr<Column> FitColumn(const ColumnSpec& spec, int index, std::span<const double> values,
                                 double pixel_margin);

}  // namespace millrace

#endif  // MILLRACE_CORE_DATA_COLUMN_FIT_H_
