// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/train_spec.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/flow/architectures.h"

namespace millrace {
namespace {

constexpr std::size_t kMaxColumnName = 256;
// For a choice of architecture before the table is in.
constexpr std::int64_t kSomeRows = 10'000;

// Columns.

absl::Status CheckColumnName(const std::string& field, const std::string& name,
                             std::set<std::string>& seen) {
  const bool clean = std::none_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
  if (name.empty() || name.size() > kMaxColumnName || !clean) {
    return InvalidArgument(field, name.empty() ? "empty" : name,
                           "1 to 256 bytes without control characters");
  }
  if (!seen.insert(name).second)
    return InvalidArgument(field, name, "a name that no other column has");
  return absl::OkStatus();
}

absl::Status CheckFinite(const std::string& field, double value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return InvalidArgument(field, absl::StrCat(value), "a finite number");
}

absl::StatusOr<ColumnType> ReadColumnType(const std::string& field, v1::ColumnType type) {
  switch (type) {
    case v1::COLUMN_TYPE_UNSPECIFIED:
      return ColumnType::kAuto;
    case v1::COLUMN_TYPE_CONTINUOUS:
      return ColumnType::kContinuous;
    case v1::COLUMN_TYPE_DISCRETE:
      return ColumnType::kDiscrete;
    default:
      return InvalidArgument(
          field, v1::ColumnType_IsValid(type) ? v1::ColumnType_Name(type) : absl::StrCat(type),
          "CONTINUOUS, DISCRETE or UNSPECIFIED");
  }
}

absl::StatusOr<ColumnSpec> ReadColumn(const std::string& path, const v1::ColumnSpec& column) {
  ColumnSpec spec;
  spec.name = column.name();
  MILLRACE_ASSIGN_OR_RETURN(spec.type, ReadColumnType(absl::StrCat(path, ".type"), column.type()));
  if (column.has_lower_bound()) {
    MILLRACE_RETURN_IF_ERROR(CheckFinite(absl::StrCat(path, ".lower_bound"), column.lower_bound()));
    spec.lower = column.lower_bound();
  }
  if (column.has_upper_bound()) {
    MILLRACE_RETURN_IF_ERROR(CheckFinite(absl::StrCat(path, ".upper_bound"), column.upper_bound()));
    spec.upper = column.upper_bound();
  }
  if (spec.lower && spec.upper && *spec.lower >= *spec.upper) {
    return InvalidArgument(absl::StrCat(path, ".lower_bound"), absl::StrCat(*spec.lower),
                           absl::StrCat("less than upper_bound, ", *spec.upper));
  }
  if (column.has_bin_width()) {
    const std::string field = absl::StrCat(path, ".bin_width");
    MILLRACE_RETURN_IF_ERROR(CheckFinite(field, column.bin_width()));
    if (column.bin_width() <= 0.0 || spec.type == ColumnType::kContinuous) {
      return InvalidArgument(field, absl::StrCat(column.bin_width()),
                             "a number above 0, and only for a DISCRETE column");
    }
    spec.bin_width = column.bin_width();
  }
  return spec;
}

absl::StatusOr<std::vector<ColumnSpec>> ReadColumns(const v1::TrainSpec& spec,
                                                    const Limits& limits) {
  if (spec.columns_size() > limits.max_columns) {
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        {.field = "columns",
         .value = absl::StrCat(spec.columns_size()),
         .expected = absl::StrCat("at most ", limits.max_columns, " columns (--max_columns)")});
  }
  std::vector<ColumnSpec> columns;
  std::set<std::string> seen;
  for (int i = 0; i < spec.columns_size(); ++i) {
    const std::string path = absl::StrCat("columns[", i, "]");
    MILLRACE_RETURN_IF_ERROR(
        CheckColumnName(absl::StrCat(path, ".name"), spec.columns(i).name(), seen));
    MILLRACE_ASSIGN_OR_RETURN(ColumnSpec column, ReadColumn(path, spec.columns(i)));
    columns.push_back(std::move(column));
  }
  return columns;
}

// Flow.

absl::StatusOr<std::optional<Mixing>> ReadMixing(v1::Mixing mixing) {
  switch (mixing) {
    case v1::MIXING_UNSPECIFIED:
      return std::nullopt;
    case v1::MIXING_NONE:
      return Mixing::kNone;
    case v1::MIXING_REVERSE:
      return Mixing::kReverse;
    case v1::MIXING_RANDOM:
      return Mixing::kRandom;
    case v1::MIXING_LU:
      return Mixing::kLu;
    default:
      return InvalidArgument("flow.maf.mixing", absl::StrCat(mixing), "a known Mixing");
  }
}

absl::StatusOr<std::optional<Activation>> ReadActivation(v1::Activation activation) {
  switch (activation) {
    case v1::ACTIVATION_UNSPECIFIED:
      return std::nullopt;
    case v1::ACTIVATION_RELU:
      return Activation::kRelu;
    case v1::ACTIVATION_TANH:
      return Activation::kTanh;
    case v1::ACTIVATION_ELU:
      return Activation::kElu;
    default:
      return InvalidArgument("flow.maf.activation", absl::StrCat(activation), "a known Activation");
  }
}

// What is out of range stays so, and is named by the core's own check.
int ToInt(std::uint32_t value) {
  return static_cast<int>(std::min<std::uint32_t>(value, std::numeric_limits<int>::max()));
}

absl::StatusOr<MafChoice> ReadMaf(const v1::MafSpec& maf) {
  MafChoice choice;
  if (maf.layers() != 0) choice.layers = ToInt(maf.layers());
  if (!maf.hidden_sizes().empty()) {
    choice.hidden_sizes.emplace();
    for (const std::uint32_t size : maf.hidden_sizes()) choice.hidden_sizes->push_back(ToInt(size));
  }
  if (maf.has_residual()) choice.residual = maf.residual();
  if (maf.has_act_norm()) choice.act_norm = maf.act_norm();
  if (maf.has_whiten()) choice.whiten = maf.whiten();
  if (maf.has_heavy_tails()) choice.heavy_tails = maf.heavy_tails();
  MILLRACE_ASSIGN_OR_RETURN(choice.mixing, ReadMixing(maf.mixing()));
  MILLRACE_ASSIGN_OR_RETURN(choice.activation, ReadActivation(maf.activation()));
  return choice;
}

// Options.

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
  if (to.validation_fraction + to.calibration_fraction < 0.9) return to;
  return InvalidArgument("options.calibration_fraction", absl::StrCat(to.calibration_fraction),
                         "less than 0.9 together with validation_fraction");
}

}  // namespace

absl::StatusOr<TrainRequest> ReadTrainSpec(const v1::TrainSpec& spec, const Limits& limits) {
  TrainRequest request;
  MILLRACE_ASSIGN_OR_RETURN(request.columns, ReadColumns(spec, limits));
  MILLRACE_ASSIGN_OR_RETURN(request.architecture, ReadMaf(spec.flow().maf()));
  MILLRACE_ASSIGN_OR_RETURN(request.options, ReadOptions(spec.options()));
  // Does the choice contradict itself? The width, not known yet, does not matter to that.
  const int dim = request.columns.empty() ? 2 : static_cast<int>(request.columns.size());
  MILLRACE_RETURN_IF_ERROR(
      ChooseSpec(request.architecture, kSomeRows, dim, request.options.seed).status());
  return request;
}

absl::Status CheckWidth(const TrainRequest& request, int table_columns, const Limits& limits) {
  const auto described = static_cast<int>(request.columns.size());
  if (described != 0 && described != table_columns) {
    return InvalidArgument(
        "columns", absl::StrCat(described, " columns"),
        absl::StrCat("one for each of the ", table_columns, " columns of the chunks"));
  }
  MILLRACE_ASSIGN_OR_RETURN(const FlowSpec flow, ChooseSpec(request.architecture, kSomeRows,
                                                            table_columns, request.options.seed));
  const double parameters = EstimateParameters(flow);
  if (parameters <= static_cast<double>(limits.max_parameters)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted,
                   {.field = "flow",
                    .value = absl::StrCat("about ", parameters, " parameters"),
                    .expected = absl::StrCat("at most ", limits.max_parameters,
                                             " (--max_parameters): fewer or narrower layers")});
}

}  // namespace millrace
