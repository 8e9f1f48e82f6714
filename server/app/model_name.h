// SPDX-License-Identifier: Apache-2.0
// Names of models: the only text of a request that becomes part of a path or a metric's label.
#ifndef MILLRACE_SERVER_APP_MODEL_NAME_H_
#define MILLRACE_SERVER_APP_MODEL_NAME_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace millrace {

// Whether `name` matches ^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$ .
bool IsValidModelName(absl::string_view name);

// INVALID_ARGUMENT with field "name" unless IsValidModelName.
absl::Status CheckModelName(absl::string_view name);

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_MODEL_NAME_H_
