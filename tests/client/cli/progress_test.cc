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

TEST(ProgressPrinter, SaysNothingOfWhatIsNotKnownYet) {
  v1::TrainResponse event = Progress(0);
  event.mutable_progress()->set_validation_nats(std::nan(""));
  event.mutable_progress()->clear_remaining();
  EXPECT_EQ(ProgressLine(event.progress()), "epoch 0  1:15 elapsed");
  event.mutable_progress()->set_rows_per_second(250.4);
  EXPECT_EQ(ProgressLine(event.progress()), "epoch 0  250 rows/s  1:15 elapsed");
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

TEST(RowProgress, IsSilentForASecondAndThenSaysHowFarItIs) {
  std::ostringstream out;
  {
    RowProgress progress(out, false, absl::UnixEpoch(), "scored");
    for (int i = 1; i < 6; ++i) {
      progress.Print(100 * i, absl::UnixEpoch() + i * absl::Milliseconds(500));
    }
  }
  EXPECT_EQ(
      out.str(),
      "scored 200 rows  200 rows/s  0:01 elapsed\nscored 400 rows  200 rows/s  0:02 elapsed\n");
}

TEST(RowProgress, EndsItsLineOnATerminal) {
  std::ostringstream out;
  {
    RowProgress progress(out, true, absl::UnixEpoch(), "scored");
    progress.Print(100, absl::UnixEpoch() + absl::Seconds(2));
    progress.Print(200, absl::UnixEpoch() + absl::Seconds(4));
  }
  EXPECT_EQ(out.str(),
            "\r\x1b[Kscored 100 rows  50 rows/s  0:02 elapsed"
            "\r\x1b[Kscored 200 rows  50 rows/s  0:04 elapsed\n");
}

TEST(ReportText, SaysOnceThatTheGaussianWasKept) {
  v1::TrainingReport report;
  report.set_fell_back_to_gaussian(true);
  report.add_warnings("the model is that Gaussian");
  const std::string text = ReportText(report);
  EXPECT_THAT(text, HasSubstr("  warning: the model is that Gaussian\n"));
  EXPECT_EQ(text.find("Gaussian was kept"), std::string::npos) << text;
}

}  // namespace
}  // namespace millrace::cli
