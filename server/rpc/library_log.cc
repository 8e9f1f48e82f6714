// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/library_log.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"
#include "server/app/log.h"

namespace millrace {
namespace {

void LogOfLibrary(bool error, const char* library, const char* message, const char* file,
                  int line) {
  Log(error ? LogLevel::kError : LogLevel::kInfo, library,
      {{"message", message}, {"source", absl::StrCat(file, ":", line)}});
}

void LogOfGrpc(gpr_log_func_args* line) {
  LogOfLibrary(line->severity == GPR_LOG_SEVERITY_ERROR, "grpc", line->message, line->file,
               line->line);
}

void LogOfProtobuf(google::protobuf::LogLevel level, const char* file, int line,
                   const std::string& message) {
  LogOfLibrary(level >= google::protobuf::LOGLEVEL_ERROR, "protobuf", message.c_str(), file, line);
}

}  // namespace

void LogForLibraries() {
  gpr_set_log_function(LogOfGrpc);
  google::protobuf::SetLogHandler(LogOfProtobuf);
}

}  // namespace millrace
