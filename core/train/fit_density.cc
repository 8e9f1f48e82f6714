// SPDX-License-Identifier: Apache-2.0
#include "core/train/fit_density.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/data/column_transform.h"
#include "core/train/fit_target.h"

namespace millrace {
namespace {

// The sizes of a flow that are chosen by the number of rows are those for this many.
constexpr std::int64_t kAsForRows = 2000;
constexpr int kLayers = 8;
constexpr std::uint64_t kFlowSeed = 10;

absl::StatusOr<ColumnModel> ColumnsOf(std::span<const DensityColumn> from) {
  if (from.empty()) return InvalidArgument("columns", "no columns", "at least one");
  std::vector<Column> columns;
  for (const DensityColumn& column : from) {
    const auto field = [&](const char* name) {
      return absl::StrCat("columns[", columns.size(), "].", name);
    };
    if (!std::isfinite(column.location))
      return InvalidArgument(field("location"), absl::StrCat(column.location), "a finite number");
    if (!(column.scale > 0.0 && std::isfinite(column.scale)))
      return InvalidArgument(field("scale"), absl::StrCat(column.scale), "a finite number above 0");
    columns.push_back({.name = column.name,
                       .type = ColumnType::kContinuous,
                       .mean = column.location,
                       .deviation = column.scale,
                       .center = column.location,
                       .scale = column.scale});
  }
  return ColumnModel::FromColumns(std::move(columns));
}

// The point of a row, for errors: "(1.2, -3)".
std::string PointText(RowsView<const double> rows, std::int64_t r) {
  std::string text;
  for (double value : rows.row(r)) absl::StrAppend(&text, text.empty() ? "(" : ", ", value);
  return text + ")";
}

// A density in the user's units as the flow sees it.
class StandardisedTarget final : public FlowTarget {
 public:
  StandardisedTarget(const ColumnModel& columns, TargetDensity& target)
      : columns_(columns), target_(target) {}

  absl::Status Evaluate(RowsView<const float> x, std::span<double> log_density,
                        RowsView<float> gradient) override {
    Rows<double> rows(x.rows, x.cols), slope(x.rows, x.cols);
    columns_.FromModel(x, rows.view());
    MILLRACE_RETURN_IF_ERROR(target_.Evaluate(rows.view(), log_density, slope.view()));
    for (std::int64_t r = 0; r < x.rows; ++r) {
      MILLRACE_RETURN_IF_ERROR(Check(rows.view(), r, log_density[r], slope.view()));
      for (int c = 0; c < x.cols; ++c) {
        // d value / d standardised value is the scale times the exponential of this.
        const double beyond = Beyond(x(r, c));
        const double scale = columns_.columns()[c].scale;
        constexpr double kMost = std::numeric_limits<float>::max();
        gradient(r, c) = std::isfinite(log_density[r])
                             ? static_cast<float>(std::clamp(slope(r, c) * scale * std::exp(beyond),
                                                             -kMost, kMost))
                             : 0.0f;
        log_density[r] += std::log(scale) + beyond;
      }
    }
    return absl::OkStatus();
  }

 private:
  // Finite, and so is its exponential, for samples beyond the image of the largest double as well.
  static double Beyond(double standardised) {
    return std::max(0.0, std::min(std::abs(standardised), kLargestStandardised) / kFarthest - 1.0);
  }

  static absl::Status Check(RowsView<const double> rows, std::int64_t r, double log_density,
                            RowsView<const double> slope) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (!(log_density < kInfinity))
      return MakeError(absl::StatusCode::kInvalidArgument,
                       {.field = "log_density",
                        .row = r,
                        .value = absl::StrCat(log_density, " at ", PointText(rows, r)),
                        .expected = "a number, or -inf where the density is 0"});
    for (int c = 0; c < rows.cols && log_density != -kInfinity; ++c) {
      if (!std::isfinite(slope(r, c)))
        return MakeError(absl::StatusCode::kInvalidArgument,
                         {.field = "gradient",
                          .row = r,
                          .column = c,
                          .value = absl::StrCat(slope(r, c), " at ", PointText(rows, r)),
                          .expected = "a finite number"});
    }
    return absl::OkStatus();
  }

  const ColumnModel& columns_;
  TargetDensity& target_;
};

}  // namespace

absl::Status Validate(const FitDensityOptions& options) {
  const auto between = [](absl::string_view field, const auto& value, double low, double high,
                          absl::string_view expected) {
    if (!value) return absl::OkStatus();
    const auto v = static_cast<double>(*value);
    return v >= low && v <= high
               ? absl::OkStatus()
               : InvalidArgument(absl::StrCat("options.", field), absl::StrCat(v), expected);
  };
  constexpr double kLeast = std::numeric_limits<double>::min();
  constexpr double kBelowOne = 1.0 - std::numeric_limits<double>::epsilon() / 2;
  MILLRACE_RETURN_IF_ERROR(between("batch_size", options.batch_size, 1, 65536, "1 to 65536"));
  MILLRACE_RETURN_IF_ERROR(between("steps", options.steps, 1, 1e7, "1 to 10000000"));
  if (options.max_duration && *options.max_duration <= absl::ZeroDuration())
    return InvalidArgument("options.max_duration", absl::FormatDuration(*options.max_duration),
                           "a positive duration");
  MILLRACE_RETURN_IF_ERROR(
      between("learning_rate", options.learning_rate, kLeast, 1, "a number in (0, 1]"));
  MILLRACE_RETURN_IF_ERROR(between("warmup_steps", options.warmup_steps, 0, 1e6, "0 to 1000000"));
  MILLRACE_RETURN_IF_ERROR(
      between("annealing_steps", options.annealing_steps, 0, 1e7, "0 to 10000000"));
  MILLRACE_RETURN_IF_ERROR(
      between("ema_decay", options.ema_decay, 0, kBelowOne, "a number in [0, 1)"));
  MILLRACE_RETURN_IF_ERROR(
      between("gradient_clip_norm", options.gradient_clip_norm, 0, 1e30, "a finite number >= 0"));
  MILLRACE_RETURN_IF_ERROR(between("samples", options.samples, 100, 1e6, "100 to 1000000"));
  return between("false_positive_rate", options.false_positive_rate, kLeast, kBelowOne,
                 "a number in (0, 1)");
}

absl::Status CheckColumns(std::span<const DensityColumn> columns) {
  return ColumnsOf(columns).status();
}

absl::StatusOr<FlowSpec> ChooseDensityFlow(const FlowChoice& choice, int dim, std::uint64_t seed) {
  FlowChoice chosen = choice;
  if (!chosen.stack.architecture && !chosen.chain && !chosen.image) {
    chosen.stack.architecture =
        dim > 1 ? Architecture::kNsfCoupling : Architecture::kNsfAutoregressive;
    if (!chosen.stack.layers) chosen.stack.layers = kLayers;
  }
  MILLRACE_ASSIGN_OR_RETURN(FlowSpec spec, ChooseFlow(chosen, kAsForRows, dim, 0, seed));
  MILLRACE_RETURN_IF_ERROR(CheckSampleGradient(spec.base));
  return spec;
}

absl::StatusOr<Model> FitDensity(const FitDensityRequest& request, TargetDensity& target,
                                 Backend& backend, const ProgressCallback& progress,
                                 std::stop_token stop) {
  MILLRACE_RETURN_IF_ERROR(Validate(request.options));
  Model model;
  MILLRACE_ASSIGN_OR_RETURN(model.columns, ColumnsOf(request.columns));
  MILLRACE_ASSIGN_OR_RETURN(
      model.spec, ChooseDensityFlow(request.flow, model.columns.dim(),
                                    request.options.seed * 0x9E3779B97F4A7C15u + kFlowSeed));
  MILLRACE_ASSIGN_OR_RETURN(const std::shared_ptr<const Flow> flow, Flow::Create(model.spec));
  model.parameters = flow->InitialParameters();
  const ColumnModel columns = model.columns;
  StandardisedTarget standardised(columns, target);
  return FitTarget(std::move(model),
                   {.target = standardised, .normalised = false, .options = request.options},
                   backend, progress, std::move(stop));
}

}  // namespace millrace
