// SPDX-License-Identifier: Apache-2.0
// The events of a training call on their way to the caller, and the call's end after them.
#ifndef MILLRACE_SERVER_RPC_EVENT_OUTBOX_H_
#define MILLRACE_SERVER_RPC_EVENT_OUTBOX_H_

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/status.h"

namespace millrace {

// One write at a time, in order; after the last one the call is finished, once. Thread-safe. Event
// is TrainResponse or FitDensityResponse.
template <typename Event>
class EventOutbox {
 public:
  // `write` starts to write an event, which stays where it is until Written. `finish` gets the
  // call's status and is called once; it may be the end of this object. Both may call back at once.
  EventOutbox(std::function<void(const Event&)> write, std::function<void(absl::Status)> finish)
      : write_(std::move(write)), finish_(std::move(finish)) {}

  // Queues an event, unless a write has failed. A progress that still waits is replaced by a newer
  // one.
  void Send(Event event);
  // The write under way is over. Where it failed, what waits is dropped.
  void Written(bool ok);

  // Finishes with `status` once all is written and nobody holds the call; OK becomes CANCELLED
  // where a write failed. Once, and after the last Send.
  void End(absl::Status status);

  // Between the two the call is not finished, unless it already is. May be nested.
  void Hold();
  void Release();

 private:
  bool MayFinish();
  void Finish();

  const std::function<void(const Event&)> write_;
  std::function<void(absl::Status)> finish_;  // of the thread that finishes

  std::mutex mutex_;          // not held while write_ or finish_ runs
  std::deque<Event> events_;  // guarded by mutex_, as all below; the first is written
  bool broken_ = false;       // a write failed
  int holds_ = 0;
  std::optional<absl::Status> final_;  // what to finish with
  bool finished_ = false;
};

template <typename Event>
void EventOutbox<Event>::Send(Event event) {
  const Event* first = nullptr;
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

template <typename Event>
void EventOutbox<Event>::Written(bool ok) {
  const Event* next = nullptr;
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

template <typename Event>
void EventOutbox<Event>::End(absl::Status status) {
  {
    const std::lock_guard lock(mutex_);
    final_ = std::move(status);
    if (!MayFinish()) return;
  }
  Finish();
}

template <typename Event>
void EventOutbox<Event>::Hold() {
  const std::lock_guard lock(mutex_);
  ++holds_;
}

template <typename Event>
void EventOutbox<Event>::Release() {
  {
    const std::lock_guard lock(mutex_);
    --holds_;
    if (!MayFinish()) return;
  }
  Finish();
}

// Whether the caller is to finish the call: once true, never again. With mutex_ held.
template <typename Event>
bool EventOutbox<Event>::MayFinish() {
  return final_.has_value() && events_.empty() && holds_ == 0 && !std::exchange(finished_, true);
}

template <typename Event>
void EventOutbox<Event>::Finish() {
  absl::Status status = *std::move(final_);
  if (broken_ && status.ok()) status = absl::CancelledError("the caller is gone");
  const auto finish = std::move(finish_);  // may be this object's end
  finish(std::move(status));
}

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_EVENT_OUTBOX_H_
