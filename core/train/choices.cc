// SPDX-License-Identifier: Apache-2.0
// The training choices for a table nobody tuned for. What they rest on is measured:
// core/docs/decisions and tests/benchmarks/results.md.
#include "core/train/choices.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

#include "core/base/error_detail.h"
#include "core/base/matrix.h"
#include "core/base/status_macros.h"
#include "core/train/train_model.h"

namespace millrace {
namespace {

constexpr int kFewColumns = 4;
constexpr std::int64_t kFewRows = 500;

}  // namespace

FitOptions ChooseFitOptions(const TrainOptions& options, std::int64_t rows, int dim, RowKind kind) {
  const bool images = kind == RowKind::kImages;
  const double steps = dim <= kFewColumns ? 30000.0 : 15000.0;
  FitOptions fit;
  // Fifty batches an epoch or more.
  const double exponent = std::floor(std::log2(std::max(1.0, static_cast<double>(rows) / 50.0)));
  fit.batch_size = options.batch_size.value_or(
      static_cast<int>(std::exp2(std::clamp(exponent, 5.0, images ? 6.0 : 8.0))));
  const double steps_per_epoch = std::ceil(static_cast<double>(rows) / fit.batch_size);
  fit.max_epochs = options.max_epochs.value_or(
      static_cast<int>(std::clamp(std::round(steps / steps_per_epoch), 3.0, 200.0)));
  fit.max_duration = options.max_duration.value_or(absl::InfiniteDuration());
  fit.learning_rate = options.learning_rate.value_or(images               ? 4e-3
                                                     : dim <= kFewColumns ? 5e-3
                                                                          : 2e-3);
  fit.schedule = options.schedule;
  fit.warmup_steps = options.warmup_steps.value_or(100);
  fit.weight_decay = options.weight_decay.value_or(0.0);
  fit.ema_decay = options.ema_decay.value_or(0.998);
  fit.gradient_clip_norm = options.gradient_clip_norm.value_or(images ? 50.0 : 5.0);
  fit.patience =
      options.patience.value_or(static_cast<int>(std::max<std::int64_t>(20, fit.max_epochs / 4)));
  // Few rows for many columns: conditional variances stay near those of the Gaussian unless the
  // rows insist. Those of pixels have nothing of it: black ones lie in a few bins, grey ones in
  // all.
  if (dim > kFewColumns && rows >= kFewRows && kind == RowKind::kTable)
    fit.log_scale_penalty = 630.0 * dim / static_cast<double>(rows);
  fit.seed = options.seed;
  return fit;
}

HeldOutRows ChooseHeldOutRows(const TrainOptions& options, std::int64_t rows, bool images) {
  const auto part = [&](const std::optional<double>& fraction) {
    const double share = fraction.value_or(TrainOptions::kHeldOutShare);
    const auto count = std::max<std::int64_t>(1, std::llround(share * static_cast<double>(rows)));
    return images && !fraction ? std::min(count, TrainOptions::kEnoughHeldOutImages) : count;
  };
  return {part(options.validation_fraction), part(options.calibration_fraction)};
}

absl::Status Validate(const TrainOptions& options) {
  const auto check = [](absl::string_view field, double value, bool ok,
                        absl::string_view expected) {
    return ok ? absl::OkStatus()
              : InvalidArgument(absl::StrCat("options.", field), absl::StrCat(value), expected);
  };
  const auto between = [&](absl::string_view field, const auto& value, double low, double high,
                           absl::string_view expected) {
    if (!value) return absl::OkStatus();
    const auto v = static_cast<double>(*value);
    return check(field, v, v >= low && v <= high, expected);
  };
  MILLRACE_RETURN_IF_ERROR(between("batch_size", options.batch_size, 1, 65536, "1 to 65536"));
  MILLRACE_RETURN_IF_ERROR(between("max_epochs", options.max_epochs, 1, 1000000, "1 to 1000000"));
  MILLRACE_RETURN_IF_ERROR(
      between("learning_rate", options.learning_rate, 1e-12, 1, "a number in (0, 1]"));
  MILLRACE_RETURN_IF_ERROR(
      between("warmup_steps", options.warmup_steps, 0, 1000000, "0 to 1000000"));
  MILLRACE_RETURN_IF_ERROR(
      between("weight_decay", options.weight_decay, 0, 1, "a number in [0, 1]"));
  MILLRACE_RETURN_IF_ERROR(
      between("ema_decay", options.ema_decay, 0, 0.999999999, "a number in [0, 1)"));
  MILLRACE_RETURN_IF_ERROR(
      between("gradient_clip_norm", options.gradient_clip_norm, 0, 1e30, "a finite number >= 0"));
  MILLRACE_RETURN_IF_ERROR(between("patience", options.patience, 1, 1000000, "1 to 1000000"));
  if (options.max_duration && *options.max_duration <= absl::ZeroDuration())
    return InvalidArgument("options.max_duration", absl::FormatDuration(*options.max_duration),
                           "a positive duration");
  const auto fraction = [&](absl::string_view field, const std::optional<double>& value,
                            double high, absl::string_view expected) {
    const double share = value.value_or(high);
    return check(field, share, share > 0.0 && share <= high, expected);
  };
  MILLRACE_RETURN_IF_ERROR(
      fraction("validation_fraction", options.validation_fraction, 0.5, "a number in (0, 0.5]"));
  MILLRACE_RETURN_IF_ERROR(
      fraction("calibration_fraction", options.calibration_fraction, 0.5, "a number in (0, 0.5]"));
  return fraction("false_positive_rate", options.false_positive_rate, 0.9999999999,
                  "a number in (0, 1)");
}

}  // namespace millrace
