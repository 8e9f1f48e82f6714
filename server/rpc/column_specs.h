// SPDX-License-Identifier: Apache-2.0
// millrace.v1.ColumnSpec to what the trainer takes.
#ifndef MILLRACE_SERVER_RPC_COLUMN_SPECS_H_
#define MILLRACE_SERVER_RPC_COLUMN_SPECS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "core/data/column.h"
#include "millrace/v1/train_messages.pb.h"
#include "server/app/config.h"

namespace millrace {

// The columns of a spec. INVALID_ARGUMENT naming the field ("columns[3].name") for one that
// contradicts itself or another, or where all are conditions; RESOURCE_EXHAUSTED for more than
// limits.max_columns.
absl::StatusOr<std::vector<ColumnSpec>> ReadColumnSpecs(const v1::TrainSpec& spec,
                                                        const Limits& limits);

// How many columns have the role.
int CountOf(const std::vector<ColumnSpec>& columns, ColumnRole role);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_COLUMN_SPECS_H_
