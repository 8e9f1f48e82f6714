// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_SCORE_SLICES_H_
#define MILLRACE_CORE_SCORE_SLICES_H_

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "core/base/status_macros.h"

namespace millrace {

// Floats of one call of the backend, about: enough for every thread, little beside a model.
inline constexpr std::int64_t kBatchFloats = std::int64_t{1} << 22;

// Calls work(first, count) on slices of all rows, of kBatchFloats / floats_a_row rows or one, until
// one returns an error. floats_a_row > 0.
template <typename Work>
absl::Status InSlices(std::int64_t rows, std::int64_t floats_a_row, const Work& work) {
  const std::int64_t most = std::max<std::int64_t>(1, kBatchFloats / floats_a_row);
  for (std::int64_t first = 0; first < rows; first += most)
    MILLRACE_RETURN_IF_ERROR(work(first, std::min(most, rows - first)));
  return absl::OkStatus();
}

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_SLICES_H_
