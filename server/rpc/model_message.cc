// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/model_message.h"

#include "core/score/calibration.h"
#include "google/protobuf/util/time_util.h"

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
  }
  return v1::COLUMN_TYPE_UNSPECIFIED;
}

v1::Mixing MixingMessage(Mixing mixing) {
  switch (mixing) {
    case Mixing::kNone:
      return v1::MIXING_NONE;
    case Mixing::kReverse:
      return v1::MIXING_REVERSE;
    case Mixing::kRandom:
      return v1::MIXING_RANDOM;
    case Mixing::kLu:
      return v1::MIXING_LU;
  }
  return v1::MIXING_UNSPECIFIED;
}

v1::Activation ActivationMessage(Activation activation) {
  switch (activation) {
    case Activation::kIdentity:
      return v1::ACTIVATION_UNSPECIFIED;
    case Activation::kRelu:
      return v1::ACTIVATION_RELU;
    case Activation::kTanh:
      return v1::ACTIVATION_TANH;
    case Activation::kElu:
      return v1::ACTIVATION_ELU;
  }
  return v1::ACTIVATION_UNSPECIFIED;
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
  }
  return v1::STOP_REASON_UNSPECIFIED;
}

void WriteColumn(const Column& column, v1::Column* message) {
  v1::ColumnSpec* spec = message->mutable_spec();
  spec->set_name(column.name);
  spec->set_type(TypeMessage(column.type));
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

void WriteFlow(const FlowSpec& spec, v1::FlowSpec* message) {
  if (!spec.maf) return;
  v1::MafSpec* maf = message->mutable_maf();
  maf->set_layers(static_cast<std::uint32_t>(spec.maf->layers));
  for (const int size : spec.maf->hidden_sizes)
    maf->add_hidden_sizes(static_cast<std::uint32_t>(size));
  maf->set_residual(spec.maf->residual);
  maf->set_mixing(MixingMessage(spec.maf->mixing));
  maf->set_activation(ActivationMessage(spec.maf->activation));
  maf->set_act_norm(spec.maf->act_norm);
  maf->set_whiten(spec.maf->whiten);
  maf->set_heavy_tails(spec.maf->heavy_tails);
}

void WriteFigure(const Nats& nats, double log_unit, v1::LogDensityFigure* message) {
  message->set_rows(static_cast<std::uint64_t>(nats.rows));
  message->set_user_nats(nats.mean - log_unit);
  message->set_standardised_nats(nats.mean);
  message->set_standard_error(nats.standard_error);
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
  for (const Column& column : model.columns.columns()) WriteColumn(column, message->add_columns());
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
}

void WriteReport(const TrainingReport& report, v1::TrainingReport* message) {
  message->set_fit_rows(static_cast<std::uint64_t>(report.fit.rows));
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
  for (const std::string& warning : report.warnings) message->add_warnings(warning);
}

void WriteProgress(const TrainProgress& progress, v1::TrainProgress* message) {
  message->set_epoch(static_cast<std::uint32_t>(progress.epoch));
  message->set_step(static_cast<std::uint64_t>(progress.step));
  message->set_train_nats(progress.train_nats);
  message->set_validation_nats(progress.validation_nats);
  message->set_best_validation_nats(progress.best_validation_nats);
  message->set_rows_per_second(progress.rows_per_second);
  WriteDuration(progress.elapsed, message->mutable_elapsed());
  WriteDuration(progress.eta, message->mutable_remaining());
}

}  // namespace millrace
