// SPDX-License-Identifier: Apache-2.0
#include "core/io/model_json.h"

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/base/status_macros.h"
#include "core/io/flow_json.h"
#include "core/io/json_archive.h"

namespace millrace {

// The overloads that the archives look up. Keys and names are the file format.

static NameTable<ColumnType> EnumNames(ColumnType) {
  return {{ColumnType::kContinuous, "continuous"},
          {ColumnType::kDiscrete, "discrete"},
          {ColumnType::kConstant, "constant"}};
}

static NameTable<StopReason> EnumNames(StopReason) {
  return {{StopReason::kUnspecified, "unspecified"},
          {StopReason::kEarlyStopping, "early_stopping"},
          {StopReason::kMaxEpochs, "max_epochs"},
          {StopReason::kMaxDuration, "max_duration"},
          {StopReason::kMaxSteps, "max_steps"}};
}

template <typename Archive>
void Describe(Archive& archive, Column& column) {
  archive.Field("name", column.name);
  archive.Field("type", column.type);
  archive.Field("mean", column.mean);
  archive.Field("deviation", column.deviation);
  archive.Field("lower", column.lower);
  archive.Field("upper", column.upper);
  archive.Field("lattice_origin", column.lattice_origin);
  archive.Field("lattice_tolerance", column.lattice_tolerance);
  archive.Field("lowest_point", column.lowest_point);
  archive.Field("highest_point", column.highest_point);
  archive.Field("bin_width", column.bin_width);
  archive.Field("center", column.center);
  archive.Field("scale", column.scale);
  archive.Field("constant", column.constant);
}

template <typename Archive>
void Describe(Archive& archive, Condition& condition) {
  archive.Field("name", condition.name);
  archive.Field("position", condition.position);
  archive.Field("mean", condition.mean);
  archive.Field("deviation", condition.deviation);
  archive.Field("categories", condition.categories);
}

template <typename Archive>
void Describe(Archive& archive, Nats& nats) {
  archive.Field("rows", nats.rows);
  archive.Field("mean", nats.mean);
  archive.Field("standard_error", nats.standard_error);
}

template <typename Archive>
void Describe(Archive& archive, DensityFit& fit) {
  archive.Field("samples", fit.samples);
  archive.Field("log_normaliser", fit.log_normaliser);
  archive.Field("log_normaliser_error", fit.log_normaliser_error);
  archive.Field("effective_sample_fraction", fit.effective_sample_fraction);
  archive.Field("divergence", fit.divergence);
  archive.Field("divergence_error", fit.divergence_error);
  archive.Field("outside_fraction", fit.outside_fraction);
}

template <typename Archive>
void Describe(Archive& archive, TrainingReport& report) {
  archive.Field("fit", report.fit);
  archive.Field("validation", report.validation);
  archive.Field("held_out", report.held_out);
  archive.Field("gaussian_held_out", report.gaussian_held_out);
  archive.Field("fit_rows", report.fit_rows, report.fit.rows);
  archive.Field("log_unit", report.log_unit);
  archive.Field("epochs", report.epochs);
  archive.Field("steps", report.steps);
  archive.Field("seconds", report.seconds);
  archive.Field("best_epoch", report.best_epoch);
  archive.Field("divergences", report.divergences);
  archive.Field("stop_reason", report.stop_reason);
  archive.Field("gaussian_fallback", report.gaussian_fallback);
  archive.Field("density_fit", report.density_fit);
  archive.Field("warnings", report.warnings);
}

template <typename Archive>
void Describe(Archive& archive, AttributeVector& attribute) {
  archive.Field("name", attribute.name);
  archive.Field("vector", attribute.vector);
  archive.Field("rows_with", attribute.rows_with);
  archive.Field("rows_without", attribute.rows_without);
}

namespace {

constexpr int kDeepest = 10;

// The text's outermost object.
struct ModelText {
  FlowSpec spec;
  std::vector<Column> columns;
  std::optional<std::vector<Condition>> conditions;  // none: not written
  double false_positive_rate = 0.0;
  TrainingReport report;
  std::optional<std::vector<AttributeVector>> attributes;  // none: not written
  std::int64_t create_time_unix_micros = 0;
};

template <typename Archive>
void Describe(Archive& archive, ModelText& text) {
  archive.Field("spec", text.spec);
  archive.Field("columns", text.columns);
  archive.Field("conditions", text.conditions);
  archive.Field("false_positive_rate", text.false_positive_rate);
  archive.Field("report", text.report);
  archive.Field("attributes", text.attributes);
  archive.Field("create_time_unix_micros", text.create_time_unix_micros);
}

}  // namespace

absl::StatusOr<std::string> ModelToJson(const Model& model) {
  ModelText text{.spec = model.spec,
                 .columns = {model.columns.columns().begin(), model.columns.columns().end()},
                 .conditions = std::nullopt,
                 .false_positive_rate = model.calibration.false_positive_rate,
                 .report = model.report,
                 .attributes = std::nullopt,
                 .create_time_unix_micros = model.create_time_unix_micros};
  const std::span<const Condition> conditions = model.context.conditions();
  if (!conditions.empty()) text.conditions.emplace(conditions.begin(), conditions.end());
  if (!model.attributes.empty()) text.attributes = model.attributes;
  JsonWriter writer;
  const Json json = writer.Write(text);
  MILLRACE_RETURN_IF_ERROR(writer.status());
  return DumpJson(json);
}

absl::StatusOr<Model> ModelFromJson(absl::string_view text) {
  const Json json = ParseJson(text, kDeepest);
  if (json.is_discarded()) return absl::DataLossError("its text is not JSON");
  ModelText read;
  JsonReader reader;
  reader.Read(json, read);
  MILLRACE_RETURN_IF_ERROR(reader.status());
  if (!(read.false_positive_rate > 0.0 && read.false_positive_rate < 1.0))
    return absl::DataLossError("false_positive_rate: not between 0 and 1");
  Model model;
  absl::StatusOr<ColumnModel> columns = ColumnModel::FromColumns(std::move(read.columns));
  if (!columns.ok()) return absl::DataLossError(columns.status().message());
  model.spec = std::move(read.spec);
  model.columns = *std::move(columns);
  absl::StatusOr<ContextModel> context = ContextModel::FromConditions(
      std::move(read.conditions).value_or(std::vector<Condition>()), model.columns);
  if (!context.ok()) return absl::DataLossError(context.status().message());
  model.context = *std::move(context);
  model.calibration.false_positive_rate = read.false_positive_rate;
  model.report = std::move(read.report);
  model.attributes = std::move(read.attributes).value_or(std::vector<AttributeVector>());
  model.create_time_unix_micros = read.create_time_unix_micros;
  return model;
}

}  // namespace millrace
