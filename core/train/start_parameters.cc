// SPDX-License-Identifier: Apache-2.0
#include "core/train/start_parameters.h"

#include <utility>

#include "core/base/status_macros.h"
#include "core/train/shrinkage.h"

namespace millrace {

absl::StatusOr<ParameterValues> StartParameters(const Flow& flow, ConditionedRows<const float> rows,
                                                double shrinkage, Backend& backend,
                                                const std::stop_token& stop) {
  ParameterValues parameters = flow.InitialParameters();
  for (int t = 0; t < static_cast<int>(flow.transforms().size()); ++t) {
    if (!flow.transforms()[t]->WantsMoments()) continue;
    MILLRACE_ASSIGN_OR_RETURN(
        Moments moments,
        backend.ComputeMoments(flow, parameters.span(), t, rows.rows, rows.context, stop));
    // Only a first layer's inputs are the rows' own.
    if (t == 0) Shrink(shrinkage, flow.spec().dim, moments.covariance);
    flow.transforms()[t]->InitialiseFromMoments(moments, parameters.span());
  }
  return parameters;
}

}  // namespace millrace
