// SPDX-License-Identifier: Apache-2.0
// The events of one Train call on their way to the caller, and the call's end after them.
#ifndef MILLRACE_SERVER_RPC_TRAIN_OUTBOX_H_
#define MILLRACE_SERVER_RPC_TRAIN_OUTBOX_H_

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "millrace/v1/train_messages.pb.h"

namespace millrace {

// One write at a time, in order; after the last one the call is finished, once. Thread-safe.
class TrainOutbox {
 public:
  // `write` starts to write an event, which stays where it is until Written. `finish` gets the
  // call's status and is called once; it may be the end of this object. Both may call back at once.
  TrainOutbox(std::function<void(const v1::TrainResponse&)> write,
              std::function<void(absl::Status)> finish)
      : write_(std::move(write)), finish_(std::move(finish)) {}

  // Queues an event, unless a write has failed. A progress that still waits is replaced by a newer
  // one.
  void Send(v1::TrainResponse event);
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

  const std::function<void(const v1::TrainResponse&)> write_;
  std::function<void(absl::Status)> finish_;  // of the thread that finishes

  std::mutex mutex_;                      // not held while write_ or finish_ runs
  std::deque<v1::TrainResponse> events_;  // guarded by mutex_, as all below; the first is written
  bool broken_ = false;                   // a write failed
  int holds_ = 0;
  std::optional<absl::Status> final_;  // what to finish with
  bool finished_ = false;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_TRAIN_OUTBOX_H_
