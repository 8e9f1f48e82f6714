// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_CPU_MOMENTS_H_
#define MILLRACE_CORE_CPU_MOMENTS_H_

#include <stop_token>

#include "absl/status/statusor.h"
#include "core/base/rows.h"
#include "core/cpu/lanes.h"
#include "core/transforms/transform.h"

namespace millrace {

// Mean and covariance, or variances alone, of the rows, in double. Tiles of the result are spread
// over the lanes and each entry is summed in row order, so the number of threads changes no bit.
// CANCELLED within a tile, 32 x 32 entries over all rows, of `stop`.
absl::StatusOr<Moments> MomentsOf(RowsView<const float> rows, bool covariance, Lanes& lanes,
                                  const std::stop_token& stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_MOMENTS_H_
