// SPDX-License-Identifier: Apache-2.0
// Structured logs on stderr: one line an event, key=value text or JSON. Everything is escaped, so
// that no client can forge a line or a field.
#ifndef MILLRACE_SERVER_APP_LOG_H_
#define MILLRACE_SERVER_APP_LOG_H_

#include <initializer_list>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace millrace {

enum class LogFormat { kText, kJson };
enum class LogLevel { kInfo, kWarning, kError };

// One `key=value` of a line; numbers and text alike.
struct LogField {
  LogField(absl::string_view k, const absl::AlphaNum& v) : key(k), value(v.Piece()) {}

  std::string key;
  std::string value;
};

// The format of all lines from here on; text until it is called. Thread-safe.
void SetLogFormat(LogFormat format);

// Writes one line with a single write(2). `event` is a fixed text of ours. Thread-safe.
void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields = {});

// The line that Log writes, newline included.
//   text  2026-01-31T12:00:00.123Z info  event key=value other="with spaces"
//   JSON  {"time":"…","level":"info","event":"event","key":"value"}
std::string FormatLogLine(LogFormat format, absl::Time time, LogLevel level,
                          absl::string_view event, std::initializer_list<LogField> fields);

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_LOG_H_
