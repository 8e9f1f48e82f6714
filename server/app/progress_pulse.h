// SPDX-License-Identifier: Apache-2.0
// When to tell a caller how far training has come: soon after news, not too often, and never silent
// for a second. Pure: time comes in.
#ifndef MILLRACE_SERVER_APP_PROGRESS_PULSE_H_
#define MILLRACE_SERVER_APP_PROGRESS_PULSE_H_

#include <optional>

#include "absl/time/time.h"
#include "core/train/train_model.h"

namespace millrace {

// Not thread-safe.
class ProgressPulse {
 public:
  static constexpr absl::Duration kShortest = absl::Milliseconds(200);  // between two messages
  static constexpr absl::Duration kLongest = absl::Milliseconds(800);   // of silence
  static constexpr absl::Duration kTick = absl::Milliseconds(100);      // how often to ask

  explicit ProgressPulse(absl::Time start) : updated_(start), sent_(start) {}

  void Update(const TrainProgress& progress, absl::Time now);

  // What to send now, if anything: the latest progress with its times carried forward. Before the
  // first update its figures are NaN, and the time left is infinite.
  std::optional<TrainProgress> Take(absl::Time now);

 private:
  TrainProgress latest_;
  absl::Time updated_;
  absl::Time sent_;
  bool news_ = false;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_PROGRESS_PULSE_H_
