// SPDX-License-Identifier: Apache-2.0
// millrace.v1.TrainSpec to what the trainer takes.
#ifndef MILLRACE_SERVER_RPC_TRAIN_SPEC_H_
#define MILLRACE_SERVER_RPC_TRAIN_SPEC_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/train/train_model.h"
#include "millrace/v1/train_messages.pb.h"
#include "server/app/config.h"

namespace millrace {

// INVALID_ARGUMENT naming the field ("options.batch_size", "columns[3].name") for a value out of
// range or values that contradict each other; RESOURCE_EXHAUSTED for more than limits.max_columns
// columns. The model's name is not looked at; a spec without columns gives a request without
// columns.
absl::StatusOr<TrainRequest> ReadTrainSpec(const v1::TrainSpec& spec, const Limits& limits);

// What can only be checked once the width of the table is known: INVALID_ARGUMENT when the spec
// describes another number of columns, and more than none; RESOURCE_EXHAUSTED (field "flow") for
// more than limits.max_parameters parameters, if every column varies and labels are counted as one
// number each; TrainModel counts their categories.
absl::Status CheckWidth(const TrainRequest& request, int table_columns, const Limits& limits);

// RESOURCE_EXHAUSTED (field "flow") for more than limits.max_parameters parameters, about.
absl::Status CheckParameters(const FlowSpec& flow, const Limits& limits);

// An unknown schedule is INVALID_ARGUMENT; unset, it is the cosine.
absl::StatusOr<LearningRateSchedule> ReadSchedule(v1::LearningRateSchedule schedule);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_TRAIN_SPEC_H_
