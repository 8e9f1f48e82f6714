// SPDX-License-Identifier: Apache-2.0
// How a client connects, waits and repeats.
#ifndef MILLRACE_CLIENT_OPTIONS_H_
#define MILLRACE_CLIENT_OPTIONS_H_

#include <grpcpp/security/credentials.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/time/time.h"

namespace millrace::client {

struct ClientOptions {
  std::string target = "localhost:50051";  // gRPC name syntax: host:port, dns:///…, unix:…
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;  // null: plain text

  // Of one request, its repetitions included; of Sample and LogProb's streams, of the wait for each
  // message: the stream may last as long as rows keep coming and the caller takes to use them,
  // within what the server grants Sample (its --max_deadline).
  absl::Duration timeout = absl::Seconds(60);
  absl::Duration train_timeout = absl::Hours(24);  // of one training, upload included

  // Calls that change nothing are repeated on UNAVAILABLE: after random waits of at most
  // initial_backoff, then twice as much each time up to max_backoff. Sample is repeated only until
  // its first message arrives; LogProb of a source goes on after the last row that was answered.
  int max_attempts = 5;  // first one included, 1 to 5; 1 repeats nothing
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(2);

  // Larger tables are cut into several requests or stream messages, each with at least one row.
  std::int64_t request_rows = 16384;     // most rows
  std::int64_t request_bytes = 2 << 20;  // most bytes of numbers; of Train, 64 KiB at most
  int max_reply_bytes = 256 << 20;       // larger replies are RESOURCE_EXHAUSTED
};

struct CallOptions {
  std::optional<absl::Duration> timeout =
      std::nullopt;           // instead of the client's; absl::InfiniteDuration() for none
  std::stop_token stop = {};  // cancels the call from any thread: CANCELLED
};

}  // namespace millrace::client

#endif  // MILLRACE_CLIENT_OPTIONS_H_
