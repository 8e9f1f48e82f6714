// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/train_outbox.h"

namespace millrace {

void TrainOutbox::Send(v1::TrainResponse event) {
  const v1::TrainResponse* first = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (broken_) return;
    if (events_.size() > 1 && events_.back().has_progress() && event.has_progress()) {
      events_.back() = std::move(event);
    } else {
      events_.push_back(std::move(event));
    }
    if (events_.size() > 1) return;
    first = &events_.front();
  }
  write_(*first);
}

void TrainOutbox::Written(bool ok) {
  const v1::TrainResponse* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    events_.pop_front();
    if (!ok) {
      broken_ = true;
      events_.clear();
    }
    if (!events_.empty()) {
      next = &events_.front();
    } else if (!MayFinish()) {
      return;
    }
  }
  next == nullptr ? Finish() : write_(*next);
}

void TrainOutbox::End(absl::Status status) {
  {
    const std::lock_guard lock(mutex_);
    final_ = std::move(status);
    if (!MayFinish()) return;
  }
  Finish();
}

void TrainOutbox::Hold() {
  const std::lock_guard lock(mutex_);
  ++holds_;
}

void TrainOutbox::Release() {
  {
    const std::lock_guard lock(mutex_);
    --holds_;
    if (!MayFinish()) return;
  }
  Finish();
}

// Whether the caller is to finish the call: once true, never again. With mutex_ held.
bool TrainOutbox::MayFinish() {
  return final_.has_value() && events_.empty() && holds_ == 0 && !std::exchange(finished_, true);
}

void TrainOutbox::Finish() {
  absl::Status status = *std::move(final_);
  if (broken_ && status.ok()) status = absl::CancelledError("the caller is gone");
  const auto finish = std::move(finish_);  // may be this object's end
  finish(std::move(status));
}

}  // namespace millrace
