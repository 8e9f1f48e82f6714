// SPDX-License-Identifier: Apache-2.0
#include "server/app/log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"

namespace millrace {
namespace {

std::atomic<LogFormat> log_format{LogFormat::kText};

absl::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

std::string TextValue(absl::string_view value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '\\' && c != '=';
  });
  if (plain) return std::string(value);
  return absl::StrCat("\"", absl::StrReplaceAll(absl::CHexEscape(value), {{"\\'", "'"}}), "\"");
}

// Bytes beyond ASCII are written as \u00XX: always valid JSON, whatever a client sent.
std::string JsonString(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (absl::ascii_isprint(byte)) {
      out += c;
    } else {
      absl::StrAppendFormat(&out, "\\u%04x", byte);
    }
  }
  return out + "\"";
}

}  // namespace

void SetLogFormat(LogFormat format) { log_format.store(format, std::memory_order_relaxed); }

std::string FormatLogLine(LogFormat format, absl::Time time, LogLevel level,
                          absl::string_view event, std::initializer_list<LogField> fields) {
  const std::string stamp = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
  std::string line;
  if (format == LogFormat::kJson) {
    line = absl::StrCat("{\"time\":\"", stamp, "\",\"level\":\"", LevelName(level),
                        "\",\"event\":", JsonString(event));
    for (const LogField& field : fields) {
      absl::StrAppend(&line, ",", JsonString(field.key), ":", JsonString(field.value));
    }
    return line + "}\n";
  }
  line = absl::StrFormat("%s %-7s %s", stamp, LevelName(level), event);
  for (const LogField& field : fields)
    absl::StrAppend(&line, " ", field.key, "=", TextValue(field.value));
  return line + "\n";
}

void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  const std::string line =
      FormatLogLine(log_format.load(std::memory_order_relaxed), absl::Now(), level, event, fields);
  // A log that cannot be written has nowhere to be reported.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace millrace
