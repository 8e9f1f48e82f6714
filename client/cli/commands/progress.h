// SPDX-License-Identifier: Apache-2.0
// What a person sees while a model trains, and of a model that is there.
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_PROGRESS_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_PROGRESS_H_

#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "millrace/v1/train_messages.pb.h"

namespace millrace::cli {

// Prints the events of a training: on a terminal one line that is written over, else lines at least
// a second apart.
class ProgressPrinter {
 public:
  ProgressPrinter(std::ostream& out, bool is_terminal) : out_(out), is_terminal_(is_terminal) {}

  // `now` is the time of the event.
  void Print(const v1::TrainResponse& event, absl::Time now);

  // Ends the line that is written over; call before printing anything else.
  void End();

 private:
  std::ostream& out_;
  const bool is_terminal_;
  bool in_line_ = false;
  absl::Time last_ = absl::InfinitePast();
};

// "epoch 12  train -1.234  validation -1.250 (best -1.240) nats  81000 rows/s  0:12 elapsed, 0:48
// left".
std::string ProgressLine(const v1::TrainProgress& progress);

// Several lines on rows, steps, log-densities and warnings, each ending in '\n'.
std::string ReportText(const v1::TrainingReport& report);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_PROGRESS_H_
