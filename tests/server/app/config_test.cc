// SPDX-License-Identifier: Apache-2.0
#include "server/app/config.h"

#include <functional>
#include <string>

#include "core/base/error_detail.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

TEST(Config, DefaultsAreValid) { EXPECT_TRUE(Validate(Config()).ok()); }

TEST(Config, MetricsNeedNoAddress) {
  Config config;
  config.metrics_address = "";
  EXPECT_TRUE(Validate(config).ok());
}

TEST(Config, NamesTheFlagThatIsWrong) {
  struct Case {
    std::string flag;
    std::function<void(Config&)> spoil;
  };
  const Case cases[] = {
      {"--address", [](Config& c) { c.address = ""; }},
      {"--address", [](Config& c) { c.address = "nonsense"; }},
      {"--metrics_address", [](Config& c) { c.metrics_address = "127.0.0.1:99999"; }},
      {"--model_dir", [](Config& c) { c.model_dir = ""; }},
      {"--compute_threads", [](Config& c) { c.compute_threads = -1; }},
      {"--worker_threads", [](Config& c) { c.worker_threads = 0; }},
      {"--max_trainings", [](Config& c) { c.max_trainings = 0; }},
      {"--max_sample_streams", [](Config& c) { c.max_sample_streams = 0; }},
      {"--max_log_prob_streams", [](Config& c) { c.max_log_prob_streams = 0; }},
      {"--max_message_bytes",
       [](Config& c) { c.limits.max_message_bytes = std::int64_t{1} << 31; }},
      {"--max_request_rows", [](Config& c) { c.limits.max_request_rows = 0; }},
      {"--max_request_evaluations", [](Config& c) { c.limits.max_request_evaluations = 0; }},
      {"--max_columns", [](Config& c) { c.limits.max_columns = 5000; }},
      {"--max_sample_rows", [](Config& c) { c.limits.max_sample_rows = -1; }},
      {"--max_train_rows", [](Config& c) { c.limits.max_train_rows = 0; }},
      {"--max_train_bytes", [](Config& c) { c.limits.max_train_bytes = 0; }},
      {"--max_parameters", [](Config& c) { c.limits.max_parameters = std::int64_t{1} << 29; }},
      {"--max_queue_requests", [](Config& c) { c.queue.max_queries = 0; }},
      {"--max_queue_evaluations", [](Config& c) { c.queue.max_cost.evaluations = 0; }},
      {"--max_queue_bytes", [](Config& c) { c.queue.max_cost.bytes = 0; }},
      {"--max_batch_evaluations", [](Config& c) { c.batch.max_evaluations = -1; }},
      {"--max_inline_products", [](Config& c) { c.max_inline_products = -1; }},
      {"--max_deadline", [](Config& c) { c.max_deadline = absl::ZeroDuration(); }},
      {"--upload_idle_timeout", [](Config& c) { c.upload_idle_timeout = absl::ZeroDuration(); }},
      {"--keepalive_time", [](Config& c) { c.keepalive_time = absl::Milliseconds(99); }},
      {"--keepalive_timeout", [](Config& c) { c.keepalive_timeout = absl::ZeroDuration(); }},
      {"--drain_delay", [](Config& c) { c.drain_delay = -absl::Seconds(1); }},
      {"--shutdown_grace", [](Config& c) { c.shutdown_grace = absl::InfiniteDuration(); }},
  };
  for (const Case& test : cases) {
    Config config;
    test.spoil(config);
    const absl::Status status = Validate(config);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << test.flag;
    EXPECT_EQ(DetailOf(status).field, test.flag);
  }
}

}  // namespace
}  // namespace millrace
