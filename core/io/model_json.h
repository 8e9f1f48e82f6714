// SPDX-License-Identifier: Apache-2.0
// What a model file says in JSON: everything but the tensors.
#ifndef MILLRACE_CORE_IO_MODEL_JSON_H_
#define MILLRACE_CORE_IO_MODEL_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model.h"

namespace millrace {

// INVALID_ARGUMENT for numbers that are not finite and text that is not UTF-8.
absl::StatusOr<std::string> ModelToJson(const Model& model);

// A model without parameters and calibration log-densities. DATA_LOSS naming the field.
absl::StatusOr<Model> ModelFromJson(absl::string_view text);

}  // namespace millrace

#endif  // MILLRACE_CORE_IO_MODEL_JSON_H_
