// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_DATA_COLUMN_NAMES_H_
#define MILLRACE_CORE_DATA_COLUMN_NAMES_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace millrace {

// result[j] is where own[j], a column of a model, stands in `names`; empty `names` are in order.
// INVALID_ARGUMENT naming `field`, the path of `names`, for a missing, duplicate or unknown name.
absl::StatusOr<std::vector<int>> MatchNames(std::span<const std::string> own,
                                            std::span<const std::string> names,
                                            absl::string_view field);

}  // namespace millrace

#endif  // MILLRACE_CORE_DATA_COLUMN_NAMES_H_
