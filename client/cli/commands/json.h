// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_JSON_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_JSON_H_

#include <google/protobuf/util/json_util.h>

#include <string>

namespace millrace::cli {

// A message as one JSON object with the names of the .proto file; fields that are 0 included.
inline std::string ToJson(const google::protobuf::Message& message, bool indent) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = indent;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  (void)google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_JSON_H_
