// SPDX-License-Identifier: Apache-2.0
#include "server/app/progress_pulse.h"

#include <algorithm>
#include <limits>

namespace millrace {

ProgressPulse::ProgressPulse(absl::Time start) : updated_(start), sent_(start) {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  latest_.train_nats = kUnknown;
  latest_.validation_nats = kUnknown;
  latest_.best_validation_nats = kUnknown;
}

void ProgressPulse::Update(const TrainProgress& progress, absl::Time now) {
  latest_ = progress;
  updated_ = now;
  news_ = true;
}

std::optional<TrainProgress> ProgressPulse::Take(absl::Time now) {
  if (now - sent_ < (news_ ? kShortest : kLongest)) return std::nullopt;
  TrainProgress progress = latest_;
  progress.elapsed += now - updated_;
  progress.eta = std::max(absl::ZeroDuration(), progress.eta - (now - updated_));
  sent_ = now;
  news_ = false;
  return progress;
}

}  // namespace millrace
