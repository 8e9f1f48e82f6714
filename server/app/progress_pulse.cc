// SPDX-License-Identifier: Apache-2.0
#include "server/app/progress_pulse.h"

#include <algorithm>

namespace millrace {

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
