// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/model_message.h"

#include <span>

#include "core/score/calibration.h"
#include "google/protobuf/util/time_util.h"
#include "server/rpc/flow_message.h"

namespace millrace {
namespace {

using google::protobuf::util::TimeUtil;

v1::ColumnType TypeMessage(ColumnType type) {
  switch (type) {
    case ColumnType::kAuto:
      return v1::COLUMN_TYPE_UNSPECIFIED;
    case ColumnType::kContinuous:
      return v1::COLUMN_TYPE_CONTINUOUS;
    case ColumnType::kDiscrete:
      return v1::COLUMN_TYPE_DISCRETE;
    case ColumnType::kConstant:
      return v1::COLUMN_TYPE_CONSTANT;
    case ColumnType::kCategorical:
      return v1::COLUMN_TYPE_CATEGORICAL;
    case ColumnType::kPixel:
      return v1::COLUMN_TYPE_PIXEL;
  }
  return v1::COLUMN_TYPE_UNSPECIFIED;
}

v1::StopReason StopReasonMessage(StopReason reason) {
  switch (reason) {
    case StopReason::kUnspecified:
      return v1::STOP_REASON_UNSPECIFIED;
    case StopReason::kEarlyStopping:
      return v1::STOP_REASON_EARLY_STOPPING;
    case StopReason::kMaxEpochs:
      return v1::STOP_REASON_MAX_EPOCHS;
    case StopReason::kMaxDuration:
      return v1::STOP_REASON_MAX_DURATION;
    case StopReason::kMaxSteps:
      return v1::STOP_REASON_MAX_STEPS;
  }
  return v1::STOP_REASON_UNSPECIFIED;
}

void WriteColumn(const Column& column, v1::Column* message) {
  v1::ColumnSpec* spec = message->mutable_spec();
  spec->set_name(column.name);
  spec->set_type(TypeMessage(column.type));
  spec->set_role(v1::COLUMN_ROLE_FEATURE);
  if (column.lower) spec->set_lower_bound(*column.lower);
  if (column.upper) spec->set_upper_bound(*column.upper);
  if (column.type == ColumnType::kConstant) {
    message->set_mean(column.constant);
    return;
  }
  message->set_mean(column.mean);
  message->set_standard_deviation(column.deviation);
  if (column.type == ColumnType::kDiscrete) {
    spec->set_bin_width(column.bin_width);
    message->set_lattice_offset(column.lattice_origin);
  }
}

void WriteCondition(const Condition& condition, v1::Column* message) {
  v1::ColumnSpec* spec = message->mutable_spec();
  spec->set_name(condition.name);
  spec->set_type(condition.is_categorical() ? v1::COLUMN_TYPE_CATEGORICAL
                                            : v1::COLUMN_TYPE_CONTINUOUS);
  spec->set_role(v1::COLUMN_ROLE_CONDITION);
  message->set_mean(condition.mean);
  message->set_standard_deviation(condition.deviation);
  message->mutable_categories()->Assign(condition.categories.begin(), condition.categories.end());
}

// In the order of the training table.
void WriteColumns(const Model& model, v1::Model* message) {
  const std::span<const Condition> conditions = model.context.conditions();
  auto condition = conditions.begin();
  const auto write_conditions = [&] {
    for (; condition != conditions.end() && condition->position == message->columns_size();
         ++condition)
      WriteCondition(*condition, message->add_columns());
  };
  for (const Column& column : model.columns.columns()) {
    write_conditions();
    WriteColumn(column, message->add_columns());
  }
  write_conditions();
}

void WriteFigure(const Nats& nats, double log_unit, v1::LogDensityFigure* message) {
  message->set_rows(static_cast<std::uint64_t>(nats.rows));
  message->set_user_nats(nats.mean - log_unit);
  message->set_standardised_nats(nats.mean);
  message->set_standard_error(nats.standard_error);
}

void WriteDensityFit(const DensityFit& fit, v1::DensityFit* message) {
  message->set_samples(static_cast<std::uint64_t>(fit.samples));
  message->set_log_normaliser(fit.log_normaliser);
  message->set_log_normaliser_error(fit.log_normaliser_error);
  message->set_effective_sample_fraction(fit.effective_sample_fraction);
  message->set_divergence(fit.divergence);
  message->set_divergence_error(fit.divergence_error);
  message->set_outside_fraction(fit.outside_fraction);
}

void WriteDuration(absl::Duration duration, google::protobuf::Duration* message) {
  *message = TimeUtil::NanosecondsToDuration(absl::ToInt64Nanoseconds(duration));
}

}  // namespace

void WriteModel(const ServedModel& served, v1::Model* message) {
  message->set_name(served.name);
  message->set_version(served.version);
  if (!served.state.ok()) {
    message->set_state(v1::MODEL_STATE_FAILED);
    message->set_state_message(std::string(served.state.message()));
    return;
  }
  const Model& model = served.density->model();
  message->set_state(v1::MODEL_STATE_ACTIVE);
  *message->mutable_create_time() =
      TimeUtil::MicrosecondsToTimestamp(model.create_time_unix_micros);
  WriteColumns(model, message);
  message->set_latent_dim(static_cast<std::uint32_t>(model.columns.dim()));
  WriteFlow(model.spec, message->mutable_flow());
  message->set_parameter_count(served.density->flow().layout().count());
  WriteReport(model.report, message->mutable_report());
  v1::CalibrationSummary* calibration = message->mutable_calibration();
  const std::size_t rows = model.calibration.log_probs.size();
  calibration->set_rows(rows);
  calibration->set_smallest_rate(1.0 / (static_cast<double>(rows) + 1.0));
  const double rate = model.calibration.false_positive_rate;
  calibration->set_false_positive_rate(rate);
  if (CheckRate(model.calibration.log_probs, rate).ok()) {
    calibration->set_threshold(Threshold(model.calibration.log_probs, rate));
  }
  for (const AttributeVector& attribute : model.attributes)
    WriteAttribute(attribute, message->add_attributes());
}

void WriteAttribute(const AttributeVector& attribute, v1::AttributeVector* message) {
  message->set_name(attribute.name);
  message->mutable_vector()->Assign(attribute.vector.begin(), attribute.vector.end());
  message->set_rows_with(static_cast<std::uint64_t>(attribute.rows_with));
  message->set_rows_without(static_cast<std::uint64_t>(attribute.rows_without));
}

void WriteReport(const TrainingReport& report, v1::TrainingReport* message) {
  message->set_fit_rows(static_cast<std::uint64_t>(report.fit_rows));
  message->set_validation_rows(static_cast<std::uint64_t>(report.validation.rows));
  message->set_calibration_rows(static_cast<std::uint64_t>(report.held_out.rows));
  message->set_epochs(static_cast<std::uint32_t>(report.epochs));
  message->set_steps(static_cast<std::uint64_t>(report.steps));
  message->set_seconds(report.seconds);
  message->set_stop_reason(StopReasonMessage(report.stop_reason));
  WriteFigure(report.fit, report.log_unit, message->mutable_train());
  WriteFigure(report.validation, report.log_unit, message->mutable_validation());
  WriteFigure(report.held_out, report.log_unit, message->mutable_held_out());
  WriteFigure(report.gaussian_held_out, report.log_unit, message->mutable_gaussian_held_out());
  message->set_fell_back_to_gaussian(report.gaussian_fallback);
  if (report.density_fit) WriteDensityFit(*report.density_fit, message->mutable_density_fit());
  for (const std::string& warning : report.warnings) message->add_warnings(warning);
}

void WriteDone(const ServedModel& served, v1::TrainDone* message) {
  message->set_name(served.name);
  message->set_version(served.version);
  WriteReport(served.density->model().report, message->mutable_report());
}

void WriteProgress(const TrainProgress& progress, v1::TrainProgress* message) {
  message->set_epoch(static_cast<std::uint32_t>(progress.epoch));
  message->set_step(static_cast<std::uint64_t>(progress.step));
  message->set_train_nats(progress.train_nats);
  message->set_validation_nats(progress.validation_nats);
  message->set_best_validation_nats(progress.best_validation_nats);
  message->set_rows_per_second(progress.rows_per_second);
  WriteDuration(progress.elapsed, message->mutable_elapsed());
  if (progress.eta != absl::InfiniteDuration())
    WriteDuration(progress.eta, message->mutable_remaining());
}

}  // namespace millrace
