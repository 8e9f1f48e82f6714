// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_TRAIN_START_PARAMETERS_H_
#define MILLRACE_CORE_TRAIN_START_PARAMETERS_H_

#include <stop_token>

#include "absl/status/statusor.h"
#include "core/base/conditioned_rows.h"
#include "core/flow/backend.h"

namespace millrace {

// Parameters of an untrained flow whose data-dependent layers know their inputs: `rows` [n >= 1,
// dim]. `shrinkage` as in core/train/shrinkage.h.
absl::StatusOr<ParameterValues> StartParameters(const Flow& flow, ConditionedRows<const float> rows,
                                                double shrinkage, Backend& backend,
                                                const std::stop_token& stop);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_START_PARAMETERS_H_
