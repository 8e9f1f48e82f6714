// SPDX-License-Identifier: Apache-2.0
#include "client/cli/commands/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>

namespace millrace::cli {
namespace {

using ::testing::HasSubstr;

v1::TrainResponse Progress(std::uint32_t epoch) {
  v1::TrainResponse event;
  event.mutable_progress()->set_epoch(epoch);
  event.mutable_progress()->set_train_nats(-1.25);
  event.mutable_progress()->mutable_elapsed()->set_seconds(75);
  event.mutable_progress()->mutable_remaining()->set_seconds(3605);
  return event;
}

TEST(ProgressPrinter, PrintsLinesASecondApart) {
  std::ostringstream out;
  ProgressPrinter printer(out, false);
  for (int i = 0; i < 6; ++i) {
    printer.Print(Progress(i), absl::UnixEpoch() + i * absl::Milliseconds(400));
  }
  printer.End();
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_THAT(text, HasSubstr("epoch 3  train -1.250"));
  EXPECT_THAT(text, HasSubstr("1:15 elapsed, 1:00:05 left"));
}

TEST(ProgressPrinter, WritesOverItsLineOnATerminal) {
  std::ostringstream out;
  ProgressPrinter printer(out, true);
  printer.Print(Progress(1), absl::UnixEpoch());
  printer.Print(Progress(2), absl::UnixEpoch());
  printer.End();
  printer.End();
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 2);
}

}  // namespace
}  // namespace millrace::cli
