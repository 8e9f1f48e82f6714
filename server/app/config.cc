// SPDX-License-Identifier: Apache-2.0
#include "server/app/config.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/flow/flow_spec.h"
#include "server/app/host_port.h"

namespace millrace {
namespace {

absl::Status CheckRange(absl::string_view flag, std::int64_t value, std::int64_t low,
                        std::int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidArgument(absl::StrCat("--", flag), absl::StrCat(value),
                         absl::StrCat("a number in [", low, ", ", high, "]"));
}

absl::Status CheckAddress(absl::string_view flag, const std::string& value) {
  if (ParseHostPort(value).has_value()) return absl::OkStatus();
  return InvalidArgument(absl::StrCat("--", flag), value.empty() ? "empty" : value,
                         "host:port, e.g. 127.0.0.1:50051, with a port of at most 65535");
}

absl::Status CheckDuration(absl::string_view flag, absl::Duration value, absl::Duration low) {
  if (value >= low && value <= absl::Hours(24)) return absl::OkStatus();
  return InvalidArgument(absl::StrCat("--", flag), absl::FormatDuration(value),
                         absl::StrCat("a time in [", absl::FormatDuration(low), ", 24h]"));
}

absl::Status CheckLimits(const Limits& limits) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  // gRPC counts message bytes in an int; row counts of a matrix are uint32.
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_message_bytes", limits.max_message_bytes, 1 << 12,
                                      std::numeric_limits<std::int32_t>::max()));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_request_rows", limits.max_request_rows, 1,
                                      std::numeric_limits<std::uint32_t>::max()));
  MILLRACE_RETURN_IF_ERROR(
      CheckRange("max_request_evaluations", limits.max_request_evaluations, 1, kMax / 2));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_columns", limits.max_columns, 1, FlowSpec::kMaxDim));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_sample_rows", limits.max_sample_rows, 1, kMax / 2));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_train_rows", limits.max_train_rows, 1, kMax / 2));
  MILLRACE_RETURN_IF_ERROR(
      CheckRange("max_parameters", limits.max_parameters, 1, Flow::kMaxParameters));
  return CheckRange("max_train_bytes", limits.max_train_bytes, 1 << 10, kMax / 2);
}

}  // namespace

absl::Status Validate(const Config& config) {
  MILLRACE_RETURN_IF_ERROR(CheckAddress("address", config.address));
  if (!config.metrics_address.empty())
    MILLRACE_RETURN_IF_ERROR(CheckAddress("metrics_address", config.metrics_address));
  if (config.model_dir.empty()) return InvalidArgument("--model_dir", "empty", "a folder");
  MILLRACE_RETURN_IF_ERROR(CheckRange("compute_threads", config.compute_threads, 0, 1024));
  MILLRACE_RETURN_IF_ERROR(CheckRange("worker_threads", config.worker_threads, 1, 1024));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_trainings", config.max_trainings, 1, 1024));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_sample_streams", config.max_sample_streams, 1, 100'000));
  MILLRACE_RETURN_IF_ERROR(
      CheckRange("max_log_prob_streams", config.max_log_prob_streams, 1, 100'000));
  MILLRACE_RETURN_IF_ERROR(CheckLimits(config.limits));
  MILLRACE_RETURN_IF_ERROR(
      CheckRange("max_queue_requests", config.queue.max_queries, 1, 1'000'000));
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max() / 2;
  MILLRACE_RETURN_IF_ERROR(
      CheckRange("max_queue_evaluations", config.queue.max_cost.evaluations, 1, kMax));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_queue_bytes", config.queue.max_cost.bytes, 1, kMax));
  MILLRACE_RETURN_IF_ERROR(
      CheckRange("max_batch_evaluations", config.batch.max_evaluations, 0, kMax));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_inline_products", config.max_inline_products, 0,
                                      Config::kMostInlineProducts));
  MILLRACE_RETURN_IF_ERROR(
      CheckDuration("max_deadline", config.max_deadline, absl::Milliseconds(1)));
  MILLRACE_RETURN_IF_ERROR(
      CheckDuration("upload_idle_timeout", config.upload_idle_timeout, absl::Milliseconds(1)));
  MILLRACE_RETURN_IF_ERROR(
      CheckDuration("keepalive_time", config.keepalive_time, absl::Milliseconds(100)));
  MILLRACE_RETURN_IF_ERROR(
      CheckDuration("keepalive_timeout", config.keepalive_timeout, absl::Milliseconds(100)));
  MILLRACE_RETURN_IF_ERROR(CheckDuration("drain_delay", config.drain_delay, absl::ZeroDuration()));
  return CheckDuration("shutdown_grace", config.shutdown_grace, absl::ZeroDuration());
}

}  // namespace millrace
