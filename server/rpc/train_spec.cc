// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/train_spec.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/flow/architectures.h"
#include "server/rpc/column_specs.h"
#include "server/rpc/enum_table.h"
#include "server/rpc/flow_message.h"

namespace millrace {
namespace {

// For a choice of architecture before the table is in.
constexpr std::int64_t kSomeRows = 10'000;
constexpr int kSomeColumns = 128;

// Options.

absl::StatusOr<TrainOptions> ReadOptions(const v1::TrainingOptions& from) {
  TrainOptions to;
  // Fields without presence: 0 stands for "chosen by the server".
  if (from.batch_size() != 0) to.batch_size = ToInt(from.batch_size());
  if (from.max_epochs() != 0) to.max_epochs = ToInt(from.max_epochs());
  if (from.patience() != 0) to.patience = ToInt(from.patience());
  if (from.learning_rate() != 0.0) to.learning_rate = from.learning_rate();
  if (from.validation_fraction() != 0.0) to.validation_fraction = from.validation_fraction();
  if (from.calibration_fraction() != 0.0) to.calibration_fraction = from.calibration_fraction();
  if (from.false_positive_rate() != 0.0) to.false_positive_rate = from.false_positive_rate();
  if (from.has_warmup_steps()) to.warmup_steps = ToInt(from.warmup_steps());
  if (from.has_weight_decay()) to.weight_decay = from.weight_decay();
  if (from.has_ema_decay()) to.ema_decay = from.ema_decay();
  if (from.has_gradient_clip_norm()) to.gradient_clip_norm = from.gradient_clip_norm();
  if (from.has_max_duration()) {
    to.max_duration = absl::Seconds(from.max_duration().seconds()) +
                      absl::Nanoseconds(from.max_duration().nanos());
  }
  MILLRACE_ASSIGN_OR_RETURN(to.schedule, ReadSchedule(from.schedule()));
  to.seed = from.seed();
  MILLRACE_RETURN_IF_ERROR(Validate(to));
  const double calibration = to.calibration_fraction.value_or(TrainOptions::kHeldOutShare);
  if (to.validation_fraction.value_or(TrainOptions::kHeldOutShare) + calibration < 0.9) return to;
  return InvalidArgument("options.calibration_fraction", absl::StrCat(calibration),
                         "less than 0.9 together with validation_fraction");
}

}  // namespace

absl::StatusOr<LearningRateSchedule> ReadSchedule(v1::LearningRateSchedule schedule) {
  switch (schedule) {
    case v1::LEARNING_RATE_SCHEDULE_UNSPECIFIED:
    case v1::LEARNING_RATE_SCHEDULE_COSINE:
      return LearningRateSchedule::kCosine;
    case v1::LEARNING_RATE_SCHEDULE_CONSTANT:
      return LearningRateSchedule::kConstant;
    default:
      return InvalidArgument("options.schedule", absl::StrCat(schedule), "a known schedule");
  }
}

absl::StatusOr<TrainRequest> ReadTrainSpec(const v1::TrainSpec& spec, const Limits& limits) {
  TrainRequest request;
  request.max_parameters = limits.max_parameters;
  MILLRACE_ASSIGN_OR_RETURN(request.columns, ReadColumnSpecs(spec, limits));
  MILLRACE_ASSIGN_OR_RETURN(request.flow, ReadFlow(spec.flow()));
  MILLRACE_ASSIGN_OR_RETURN(request.options, ReadOptions(spec.options()));
  // Does the choice contradict itself? A table's width, where the spec does not tell it, may matter
  // to layers of a chain, and does to images: CheckWidth looks at those.
  const bool described = !request.columns.empty();
  if (!described && (request.flow.chain || request.flow.image)) return request;
  MILLRACE_RETURN_IF_ERROR(
      ChooseFlow(request.flow, kSomeRows,
                 described ? CountOf(request.columns, ColumnRole::kFeature) : kSomeColumns,
                 CountOf(request.columns, ColumnRole::kCondition), request.options.seed)
          .status());
  return request;
}

absl::Status CheckWidth(const TrainRequest& request, int table_columns, const Limits& limits) {
  const auto described = static_cast<int>(request.columns.size());
  if (described != 0 && described != table_columns) {
    return InvalidArgument(
        "columns", absl::StrCat(described, " columns"),
        absl::StrCat("one for each of the ", table_columns, " columns of the chunks"));
  }
  // How many categories a label has is not known yet: they count as one number.
  const int conditions = CountOf(request.columns, ColumnRole::kCondition);
  MILLRACE_ASSIGN_OR_RETURN(const FlowSpec flow,
                            ChooseFlow(request.flow, kSomeRows, table_columns - conditions,
                                       conditions, request.options.seed));
  return CheckParameters(flow, limits);
}

absl::Status CheckParameters(const FlowSpec& flow, const Limits& limits) {
  const double parameters = EstimateParameters(flow);
  if (parameters <= static_cast<double>(limits.max_parameters)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted,
                   {.field = "flow",
                    .value = absl::StrCat("about ", parameters, " parameters"),
                    .expected = absl::StrCat("at most ", limits.max_parameters,
                                             " (--max_parameters): fewer or narrower layers")});
}

}  // namespace millrace
