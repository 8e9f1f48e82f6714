// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_TRAIN_GAUSSIAN_MODEL_H_
#define MILLRACE_CORE_TRAIN_GAUSSIAN_MODEL_H_

#include <memory>
#include <stop_token>

#include "absl/status/statusor.h"
#include "core/base/rows.h"
#include "core/flow/backend.h"
#include "core/model.h"

namespace millrace {

// `model` without its autoregressive layers: the full-covariance Gaussian of `rows`, with the
// model's tails. rows [n >= 1, dim] are what the flow sees of them at the centres of their bins;
// the variance of the bins is added. `shrinkage` as in core/train/shrinkage.h. On a table without
// bounds and with shrinkage 0 it is Gaussian (core/train/gaussian.h), up to rounding and tails.
absl::StatusOr<std::shared_ptr<Model>> GaussianModel(const Model& model, RowsView<const float> rows,
                                                     double shrinkage, Backend& backend,
                                                     std::stop_token stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_GAUSSIAN_MODEL_H_
