// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/client_density.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "server/rpc/matrix.h"

namespace millrace {

absl::Status ClientDensity::Evaluate(RowsView<const double> x, std::span<double> log_density,
                                     RowsView<double> gradient) {
  v1::DensityPoints points;
  WriteMatrix(x, points.mutable_rows());
  std::unique_lock lock(mutex_);
  points.set_id(++id_);
  waiting_ = true;
  log_density_ = log_density;
  gradient_ = gradient;
  lock.unlock();
  send_(std::move(points));
  lock.lock();
  answered_.wait_for(lock, stop_, absl::ToChronoNanoseconds(config_.upload_idle_timeout),
                     [this] { return !waiting_; });
  if (!std::exchange(waiting_, false)) return absl::OkStatus();
  if (stop_.stop_requested()) return absl::CancelledError("training was cancelled");
  return absl::DeadlineExceededError(absl::StrCat("no values of the density came for ",
                                                  absl::FormatDuration(config_.upload_idle_timeout),
                                                  " (--upload_idle_timeout)"));
}

absl::Status ClientDensity::Take(const v1::DensityValues& values) {
  const std::lock_guard lock(mutex_);
  if (!waiting_ || values.id() != id_)
    return InvalidArgument("values.id", absl::StrCat(values.id()),
                           waiting_ ? absl::StrCat(id_, ", as the latest points have")
                                    : "no values: no points wait for any");
  const auto rows = static_cast<std::int64_t>(log_density_.size());
  if (values.log_density_size() != rows)
    return InvalidArgument("values.log_density",
                           absl::StrCat(values.log_density_size(), " numbers"),
                           absl::StrCat(rows, ", one for each point"));
  MILLRACE_RETURN_IF_ERROR(CheckMatrix(values.gradient(), "values.gradient", rows,
                                       "the number of points", config_.limits));
  if (values.gradient().rows() != rows ||
      static_cast<int>(values.gradient().cols()) != gradient_.cols)
    return InvalidArgument(
        "values.gradient",
        absl::StrCat(values.gradient().rows(), " rows of ", values.gradient().cols(), " columns"),
        absl::StrCat(rows, " of ", gradient_.cols, ", as the points have"));
  MILLRACE_RETURN_IF_ERROR(
      ReadMatrix(values.gradient(), "values.gradient", 0,
                 {gradient_.data, static_cast<std::size_t>(gradient_.rows * gradient_.cols)}));
  std::ranges::copy(values.log_density(), log_density_.begin());
  waiting_ = false;
  answered_.notify_all();
  return absl::OkStatus();
}

}  // namespace millrace
