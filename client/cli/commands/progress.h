// SPDX-License-Identifier: Apache-2.0
// What a person sees while a model trains, and of a model that is there.
#ifndef MILLRACE_CLIENT_CLI_COMMANDS_PROGRESS_H_
#define MILLRACE_CLIENT_CLI_COMMANDS_PROGRESS_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "millrace/v1/train_messages.pb.h"

namespace millrace::cli {

// How far a long task is: on a terminal one line that is written over, else line after line.
class LiveLine {
 public:
  LiveLine(std::ostream& out, bool is_terminal) : out_(out), is_terminal_(is_terminal) {}
  ~LiveLine() { End(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  bool is_terminal() const { return is_terminal_; }
  void Show(const std::string& text);

  // Ends the line that is written over; before anything else is printed.
  void End();

 private:
  std::ostream& out_;
  const bool is_terminal_;
  bool in_line_ = false;
};

// Prints the events of a training; lines that are not written over are at least a second apart.
class ProgressPrinter {
 public:
  ProgressPrinter(std::ostream& out, bool is_terminal) : out_(out), line_(out, is_terminal) {}

  // `now` is the time of the event.
  void Print(const v1::TrainResponse& event, absl::Time now);

  // Call before printing anything else.
  void End() { line_.End(); }

 private:
  std::ostream& out_;
  LiveLine line_;
  absl::Time last_ = absl::InfinitePast();
  bool of_density_ = false;  // no rows, a density is fitted to
};

// Prints how many rows are done, once a second at most: nothing for a short table. Ends with its
// life; nothing else may be printed before.
class RowProgress {
 public:
  // `done` is what is done with rows: "scored".
  RowProgress(std::ostream& out, bool is_terminal, absl::Time begin, std::string done)
      : line_(out, is_terminal), begin_(begin), done_(std::move(done)) {}

  // `rows` are done at the time `now`.
  void Print(std::int64_t rows, absl::Time now);

 private:
  LiveLine line_;
  const absl::Time begin_;
  const std::string done_;
  absl::Time last_ = begin_;
};

// "epoch 12  train -1.234  validation -1.250 (best -1.240) nats  81000 rows/s  0:12 elapsed, 0:48
// left".
std::string ProgressLine(const v1::TrainProgress& progress);

// The same of a fit to a density: "step 1200  mean of ln p - ln q 1.234 (best 1.240) nats  81000
// points/s  0:12 elapsed, 0:48 left".
std::string FitLine(const v1::TrainProgress& progress);

// Numbers of an image, of a flow of images; else 0.
std::int64_t PixelsOf(const v1::FlowSpec& flow);

// Several lines on rows, steps, log-densities and warnings, each ending in '\n'; with the bits per
// dimension of images of `pixels` numbers, unless those are 0.
std::string ReportText(const v1::TrainingReport& report, std::int64_t pixels = 0);

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_COMMANDS_PROGRESS_H_
