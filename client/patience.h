// SPDX-License-Identifier: Apache-2.0
// How long one message of a stream may take to come. Internal to the client.
#ifndef MILLRACE_CLIENT_PATIENCE_H_
#define MILLRACE_CLIENT_PATIENCE_H_

#include <grpcpp/client_context.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "absl/time/time.h"

namespace millrace::client {

// Cancels a call during which one wait takes longer than `timeout`. Waits belong to one thread.
class Patience {
 public:
  Patience(grpc::ClientContext& context, absl::Duration timeout);
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  // read(), which ends early when the call is cancelled.
  template <typename Read>
  auto Wait(const Read& read) {
    Begin();
    auto result = read();
    End();
    return result;
  }
  // Whether a wait took too long.
  bool ended();

 private:
  using Clock = std::chrono::steady_clock;

  void Begin();
  void End();
  void Watch(const std::stop_token& stop);

  grpc::ClientContext& context_;
  const absl::Duration timeout_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Clock::time_point> deadline_;  // of the wait that goes on
  bool ended_ = false;
  std::jthread watcher_;  // last: it uses the others; none where waits are endless
};

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_PATIENCE_H_
