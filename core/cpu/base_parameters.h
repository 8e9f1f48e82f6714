// SPDX-License-Identifier: Apache-2.0
// Parameters of base distributions in the CPU's arrays, and their gradients.
#ifndef MILLRACE_CORE_CPU_BASE_PARAMETERS_H_
#define MILLRACE_CORE_CPU_BASE_PARAMETERS_H_

#include <cstddef>

#include "core/cpu/block.h"
#include "core/exec/base_formulas.h"

namespace millrace::cpu {

// Reads a parameter.
inline auto ValueOf(Weights weights) {
  return [weights](const Slice& slice, int row, int column) -> double {
    return Data(weights, slice)[static_cast<std::ptrdiff_t>(row) * slice.ld + column];
  };
}

// The gradients of one column of one component: sums over rows of `bars`, whose columns are dL by
// location, log-scale and shape.
inline void AddGradients(const BaseLayer& layer, const BaseColumn& values, int component,
                         int column, ConstMatrix bars, Gradients gradients) {
  if (gradients.empty()) return;
  const auto add = [&](const Slice& slice, int row, int bar, double slope) {
    if (slice.rows == 0) return;
    Data(gradients, slice)[static_cast<std::ptrdiff_t>(row) * slice.ld + column] +=
        static_cast<float>(slope) * SumRows(Column(bars, bar), bars.rows);
  };
  add(layer.location, component, 0, 1.0);
  add(layer.log_scale, component, 1, values.scale_slope);
  add(layer.shape, 0, 2, 1.0);
}

}  // namespace millrace::cpu

#endif  // MILLRACE_CORE_CPU_BASE_PARAMETERS_H_
