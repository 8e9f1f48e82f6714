// SPDX-License-Identifier: Apache-2.0
#include "server/app/log.h"

#include <algorithm>
#include <string>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

const absl::Time kTime = absl::FromUnixMillis(1'700'000'000'123);

TEST(Log, WritesTextAsKeyValue) {
  EXPECT_EQ(
      FormatLogLine(LogFormat::kText, kTime, LogLevel::kInfo, "model loaded",
                    {{"model", "moons"}, {"version", 3}, {"note", "two words"}, {"empty", ""}}),
      "2023-11-14T22:13:20.123Z info    model loaded model=moons version=3 note=\"two words\" "
      "empty=\"\"\n");
}

TEST(Log, WritesJson) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, kTime, LogLevel::kError, "call failed",
                          {{"code", "INTERNAL"}}),
            "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"error\",\"event\":\"call failed\","
            "\"code\":\"INTERNAL\"}\n");
}

TEST(Log, NoValueForgesALineOrAField) {
  const std::string evil = std::string("x\" level=error\nforged\r\0\x1b[31m\\\xff", 30);
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    const std::string line =
        FormatLogLine(format, kTime, LogLevel::kInfo, "event", {{"name", evil}});
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
    EXPECT_EQ(line.back(), '\n');
    EXPECT_TRUE(std::all_of(line.begin(), line.end() - 1, [](char c) {
      return c >= 0x20 && c < 0x7f;
    })) << line;
    EXPECT_NE(line.find("\\\" level"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace millrace
