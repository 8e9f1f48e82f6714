// SPDX-License-Identifier: Apache-2.0
// How a FlowSpec stands in a model file (core/io/json_archive.h).
#ifndef MILLRACE_CORE_IO_FLOW_JSON_H_
#define MILLRACE_CORE_IO_FLOW_JSON_H_

#include <string>

#include "core/flow/flow_spec.h"
#include "core/io/json_archive.h"

namespace millrace {

void Describe(JsonWriter& archive, FlowSpec& spec);
void Describe(JsonReader& archive, FlowSpec& spec);

// As text; equal specs have equal texts.
std::string FlowToJson(FlowSpec spec);

}  // namespace millrace

#endif  // MILLRACE_CORE_IO_FLOW_JSON_H_
