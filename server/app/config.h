// SPDX-License-Identifier: Apache-2.0
// Everything an operator can set. The flags of the same names are in server/flags.cc.
#ifndef MILLRACE_SERVER_APP_CONFIG_H_
#define MILLRACE_SERVER_APP_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/flow/flow.h"
#include "server/app/log.h"
#include "server/app/work_queue.h"

namespace millrace {

// What one request may ask for; more is RESOURCE_EXHAUSTED, naming the flag.
struct Limits {
  std::int64_t max_message_bytes = 64 << 20;             // of one message, in either direction
  std::int64_t max_request_rows = 100'000;               // of one request but Train and Sample
  std::int64_t max_request_evaluations = 1'000'000'000;  // of the flow, of such a request
  std::int64_t max_columns = 4096;
  std::int64_t max_sample_rows = 10'000'000;  // of one Sample
  std::int64_t max_train_rows = 10'000'000;
  std::int64_t max_train_bytes = std::int64_t{1} << 30;  // of the table as doubles
  std::int64_t max_parameters = Flow::kMaxParameters;    // of a flow that is trained, about
};

struct Config {
  std::string address = "127.0.0.1:50051";
  std::string metrics_address = "127.0.0.1:9464";  // empty: no metrics are exposed
  std::string model_dir = "./models";
  int compute_threads = 0;        // of the backend; 0: the CPU quota of the cgroup, else all cores
  int worker_threads = 2;         // queries computed at once, brief ones aside
  int max_trainings = 2;          // trainings at once
  int max_sample_streams = 256;   // open Sample calls
  int max_log_prob_streams = 64;  // open StreamLogProb calls
  // Of a query that is computed where it arrives. Nothing can stop it there: the most is what takes
  // milliseconds.
  std::int64_t max_inline_products = 1 << 18;
  static constexpr std::int64_t kMostInlineProducts = 1 << 26;
  Limits limits;
  QueueLimits queue;
  BatchLimits batch;
  absl::Duration max_deadline = absl::Minutes(10);         // of every call but trainings
  absl::Duration upload_idle_timeout = absl::Seconds(60);  // between messages of a caller
  absl::Duration keepalive_time = absl::Seconds(60);       // silence after which a peer is pinged
  absl::Duration keepalive_timeout = absl::Seconds(20);    // for its answer
  absl::Duration drain_delay = absl::ZeroDuration();       // NOT_SERVING, but still working
  absl::Duration shutdown_grace = absl::Seconds(10);       // for calls to end by themselves
  bool reflection = true;
  LogFormat log_format = LogFormat::kText;
};

// INVALID_ARGUMENT naming the flag, its value and its range.
absl::Status Validate(const Config& config);

}  // namespace millrace

#endif  // MILLRACE_SERVER_APP_CONFIG_H_
