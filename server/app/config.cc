// SPDX-License-Identifier: Apache-2.0
#include "server/app/config.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

absl::Status CheckRange(absl::string_view flag, std::int64_t value, std::int64_t low,
                        std::int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidArgument(absl::StrCat("--", flag), absl::StrCat(value),
                         absl::StrCat("a number in [", low, ", ", high, "]"));
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
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_columns", limits.max_columns, 1, 4096));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_sample_rows", limits.max_sample_rows, 1, kMax / 2));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_train_rows", limits.max_train_rows, 1, kMax / 2));
  return CheckRange("max_train_bytes", limits.max_train_bytes, 1 << 10, kMax / 2);
}

}  // namespace

absl::Status Validate(const Config& config) {
  if (config.address.empty()) return InvalidArgument("--address", "empty", "host:port");
  if (config.model_dir.empty()) return InvalidArgument("--model_dir", "empty", "a folder");
  MILLRACE_RETURN_IF_ERROR(CheckRange("compute_threads", config.compute_threads, 0, 1024));
  MILLRACE_RETURN_IF_ERROR(CheckRange("worker_threads", config.worker_threads, 1, 1024));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_trainings", config.max_trainings, 1, 1024));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_sample_streams", config.max_sample_streams, 1, 100'000));
  MILLRACE_RETURN_IF_ERROR(CheckLimits(config.limits));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_queue_requests", config.queue.max_items, 1, 1'000'000));
  MILLRACE_RETURN_IF_ERROR(CheckRange("max_queue_rows", config.queue.max_rows, 1,
                                      std::numeric_limits<std::int64_t>::max() / 2));
  MILLRACE_RETURN_IF_ERROR(
      CheckDuration("max_deadline", config.max_deadline, absl::Milliseconds(1)));
  MILLRACE_RETURN_IF_ERROR(CheckDuration("drain_delay", config.drain_delay, absl::ZeroDuration()));
  return CheckDuration("shutdown_grace", config.shutdown_grace, absl::ZeroDuration());
}

}  // namespace millrace
