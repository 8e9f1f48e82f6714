// SPDX-License-Identifier: Apache-2.0
#include "core/train/gaussian_model.h"

#include <utility>

#include "core/base/status_macros.h"
#include "core/flow/flow.h"
#include "core/train/gaussian.h"
#include "core/train/shrinkage.h"

namespace millrace {

absl::StatusOr<std::shared_ptr<Model>> GaussianModel(const Model& model,
                                                     ConditionedRows<const float> data,
                                                     double shrinkage, Backend& backend,
                                                     std::stop_token stop) {
  auto gaussian = std::make_shared<Model>(model);
  const bool heavy_tails = !model.spec.stack || model.spec.stack->heavy_tails;
  gaussian->spec.image.reset();
  gaussian->spec.chain.reset();
  gaussian->spec.base = {};
  gaussian->spec.stack = StackSpec{.layers = 0, .whiten = true, .heavy_tails = heavy_tails};
  MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(gaussian->spec));
  gaussian->parameters = flow->InitialParameters();
  MILLRACE_ASSIGN_OR_RETURN(
      Moments moments, backend.ComputeMoments(data.rows, /*covariance=*/true, std::move(stop)));
  const ColumnModel& columns = gaussian->columns;
  const auto dim = static_cast<std::size_t>(columns.dim());
  for (std::size_t i = 0; i < dim; ++i) {
    const Column& column = columns.columns()[columns.active()[i]];
    if (!column.lower && !column.upper)
      moments.covariance[i * dim + i] += BinVariance(column.bin_width, column.scale);
  }
  Shrink(shrinkage, columns.dim(), moments.covariance);
  flow->transforms()[0]->InitialiseFromMoments(moments, gaussian->parameters.span());
  return gaussian;
}

}  // namespace millrace
