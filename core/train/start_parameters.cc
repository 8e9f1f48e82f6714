// SPDX-License-Identifier: Apache-2.0
#include "core/train/start_parameters.h"

#include <algorithm>
#include <utility>

#include "core/base/status_macros.h"
#include "core/train/shrinkage.h"

namespace millrace {

absl::StatusOr<ParameterValues> StartParameters(const Flow& flow, ConditionedRows<const float> rows,
                                                double shrinkage, Backend& backend,
                                                const std::stop_token& stop) {
  ParameterValues parameters = flow.InitialParameters();
  Rows<float> inputs(rows.rows.rows, rows.rows.cols);  // of transform `reached`
  std::copy_n(rows.rows.data, inputs.rows() * inputs.cols(), inputs.data());
  int reached = 0;
  for (int t = 0; t < static_cast<int>(flow.transforms().size()); ++t) {
    const Transform& transform = *flow.transforms()[t];
    if (!transform.WantsMoments()) continue;
    MILLRACE_RETURN_IF_ERROR(backend.Advance(flow, parameters.span(), std::exchange(reached, t), t,
                                             rows.context, inputs.view(), stop));
    MILLRACE_ASSIGN_OR_RETURN(
        Moments moments, backend.ComputeMoments(inputs.view(), transform.WantsCovariance(), stop));
    // Only a first layer's inputs are the rows' own.
    if (t == 0) Shrink(shrinkage, flow.spec().dim, moments.covariance);
    transform.InitialiseFromMoments(moments, parameters.span());
  }
  return parameters;
}

}  // namespace millrace
