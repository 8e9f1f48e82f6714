// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_TRAIN_GAUSSIAN_MODEL_H_
#define MILLRACE_CORE_TRAIN_GAUSSIAN_MODEL_H_

#include <memory>
#include <stop_token>

#include "absl/status/statusor.h"
#include "core/base/conditioned_rows.h"
#include "core/flow/backend.h"
#include "core/model.h"

namespace millrace {

// `model` without its autoregressive layers: the full-covariance Gaussian of `data`, with the
// model's tails, the same under every condition. data [n >= 1, dim] is what the flow sees at the
// centres of bins;
// the variance of the bins is added. `shrinkage` as in core/train/shrinkage.h. On a table without
// bounds and with shrinkage 0 it is Gaussian (core/train/gaussian.h), up to rounding and tails.
absl::StatusOr<std::shared_ptr<Model>> GaussianModel(const Model& model,
                                                     ConditionedRows<const float> data,
                                                     double shrinkage, Backend& backend,
                                                     std::stop_token stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_GAUSSIAN_MODEL_H_
