// SPDX-License-Identifier: Apache-2.0
#include "core/score/density.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/score/attribution.h"
#include "core/score/calibration.h"
#include "core/score/log_sum.h"
#include "core/score/slices.h"

namespace millrace {
namespace {

constexpr double kMaxTemperature = 10.0;

absl::Status RowError(absl::string_view field, std::int64_t row, absl::string_view value,
                      absl::string_view expected) {
  return MakeError(absl::StatusCode::kInvalidArgument, {.field = std::string(field),
                                                        .row = row,
                                                        .column = std::nullopt,
                                                        .value = std::string(value),
                                                        .expected = std::string(expected)});
}

absl::Status CheckLatent(RowsView<const double> latent, int dim) {
  if (latent.rows < 1)
    return InvalidArgument("latents", absl::StrCat(latent.rows, " rows"), "at least 1");
  if (latent.cols != dim)
    return InvalidArgument("latents", absl::StrCat(latent.cols, " columns"),
                           absl::StrCat(dim, " columns"));
  for (std::int64_t r = 0; r < latent.rows; ++r) {
    for (int c = 0; c < dim; ++c) {
      if (!std::isfinite(latent(r, c)))
        return MakeError(absl::StatusCode::kInvalidArgument, {.field = "latents",
                                                              .row = r,
                                                              .column = c,
                                                              .value = absl::StrCat(latent(r, c)),
                                                              .expected = "a finite number"});
    }
  }
  return absl::OkStatus();
}

bool IsFinite(RowsView<const float> rows, std::int64_t r) {
  const auto row = rows.row(r);
  return std::all_of(row.begin(), row.end(), [](float v) { return std::isfinite(v); });
}

// Floats of a row as the flow takes it: itself and its context.
std::int64_t FloatsOfRow(const Model& model) { return model.columns.dim() + model.context.dim(); }

// All rows, all rows again, ...
Rows<float> RepeatRows(RowsView<const float> rows, int times) {
  Rows<float> out(rows.rows * times, rows.cols);
  for (int k = 0; k < times; ++k)
    std::copy_n(rows.data, rows.rows * rows.cols, out.data() + k * rows.rows * rows.cols);
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Density>> Density::Create(std::shared_ptr<const Model> model,
                                                               Backend& backend) {
  absl::StatusOr<std::shared_ptr<const Flow>> flow = Flow::Create(model->spec);
  if (!flow.ok()) return absl::DataLossError(flow.status().message());
  if (model->parameters.size() != (*flow)->layout().size())
    return absl::DataLossError(absl::StrCat("model: ", model->parameters.size(),
                                            " parameters; its spec has ",
                                            (*flow)->layout().size()));
  if (model->columns.dim() != (*flow)->dim())
    return absl::DataLossError(absl::StrCat("model: ", model->columns.dim(),
                                            " columns that are not constant; its spec has ",
                                            (*flow)->dim()));
  if (model->context.dim() != (*flow)->spec().context_dim)
    return absl::DataLossError(absl::StrCat("model: a context of ", model->context.dim(),
                                            " columns; its spec has ",
                                            (*flow)->spec().context_dim));
  for (const auto& transform : (*flow)->transforms()) {
    const double bound = transform->LipschitzBound(model->parameters.span());
    if (!(bound < 1.0))
      return absl::DataLossError(absl::StrCat("model: a residual block may stretch by ", bound,
                                              "; it is invertible only below 1"));
  }
  MILLRACE_ASSIGN_OR_RETURN(std::shared_ptr<const DeviceWeights> weights,
                            backend.Upload(*std::move(flow), model->parameters.span()));
  return std::unique_ptr<const Density>(new Density(std::move(model), backend, std::move(weights)));
}

absl::StatusOr<LogProbResult> Density::LogProb(RowsView<const double> rows, std::stop_token stop,
                                               RowsView<const double> context) const {
  MILLRACE_RETURN_IF_ERROR(model_->columns.CheckRows(rows));
  MILLRACE_RETURN_IF_ERROR(model_->context.Check(context, rows.rows));
  return LogProbOf(rows, context, stop);
}

absl::StatusOr<LogProbResult> Density::LogProbOf(RowsView<const double> rows,
                                                 RowsView<const double> context,
                                                 const std::stop_token& stop) const {
  const ColumnModel& columns = model_->columns;
  const int offsets = columns.num_offsets();
  LogProbResult result;
  result.log_prob.resize(static_cast<std::size_t>(rows.rows));
  result.out_of_support.resize(static_cast<std::size_t>(rows.rows));
  const auto slice = [&](std::int64_t first, std::int64_t count) -> absl::Status {
    // All rows at offset 0, all at offset 1, ...: one call of the backend.
    Rows<float> x(count * offsets, columns.dim());
    std::vector<double> log_det(static_cast<std::size_t>(count * offsets));
    std::vector<double> log_prob(log_det.size());
    const std::span<std::uint8_t> outside(result.out_of_support.data() + first,
                                          static_cast<std::size_t>(count));
    for (int k = 0; k < offsets; ++k)
      columns.ToModel(rows.Slice(first, count), k, x.view().Slice(k * count, count),
                      std::span(log_det).subspan(k * count, count), outside);
    const Rows<float> c =
        RepeatRows(model_->context.ToModel(context, first, count).view(), offsets);
    MILLRACE_RETURN_IF_ERROR(backend_.LogProb(*weights_, x.view(), c.view(), log_prob, stop));
    std::vector<double> of_offsets(offsets);
    for (std::int64_t r = 0; r < count; ++r) {
      for (int k = 0; k < offsets; ++k)
        of_offsets[k] = log_prob[k * count + r] + log_det[k * count + r];
      result.log_prob[first + r] =
          outside[r] ? -std::numeric_limits<double>::infinity() : LogMeanExp(of_offsets);
    }
    return absl::OkStatus();
  };
  MILLRACE_RETURN_IF_ERROR(InSlices(rows.rows, FloatsOfRow(*model_) * offsets, slice));
  return result;
}

absl::StatusOr<ScoreResult> Density::Score(RowsView<const double> rows, const ScoreOptions& options,
                                           std::stop_token stop,
                                           RowsView<const double> context) const {
  const Calibration& calibration = model_->calibration;
  ScoreResult result;
  result.false_positive_rate =
      options.false_positive_rate.value_or(calibration.false_positive_rate);
  MILLRACE_RETURN_IF_ERROR(CheckRate(calibration.log_probs, result.false_positive_rate));
  if (options.contributions == Contributions::kChain &&
      !flow().IsTriangular(model_->parameters.span()))
    return InvalidArgument("contributions", "chain",
                           "conditional: the model is not triangular in column order");
  MILLRACE_ASSIGN_OR_RETURN(result.density, LogProb(rows, stop, context));
  result.threshold = Threshold(calibration.log_probs, result.false_positive_rate);
  for (std::size_t r = 0; r < result.density.log_prob.size(); ++r) {
    const double log_prob = result.density.out_of_support[r]
                                ? std::numeric_limits<double>::quiet_NaN()
                                : result.density.log_prob[r];
    result.tail_probability.push_back(TailProbability(calibration.log_probs, log_prob));
    result.is_anomaly.push_back(result.tail_probability.back() <= result.false_positive_rate);
  }
  const AttributionInput input{.columns = model_->columns,
                               .backend = backend_,
                               .weights = *weights_,
                               .rows = rows,
                               .log_prob = result.density.log_prob,
                               .conditions = model_->context,
                               .context = context};
  if (options.contributions == Contributions::kConditional) {
    MILLRACE_ASSIGN_OR_RETURN(result.contributions, ConditionalTerms(input, stop));
  } else if (options.contributions == Contributions::kChain) {
    MILLRACE_ASSIGN_OR_RETURN(result.contributions, ChainTerms(input, stop));
  }
  return result;
}

absl::StatusOr<Rows<double>> Density::Sample(std::uint64_t seed, std::uint64_t first_row,
                                             std::int64_t count, double temperature,
                                             std::stop_token stop,
                                             RowsView<const double> context) const {
  if (count < 1) return InvalidArgument("count", absl::StrCat(count), "at least 1");
  if (!(temperature >= 0.0 && temperature <= kMaxTemperature))
    return InvalidArgument("temperature", absl::StrCat(temperature),
                           absl::StrCat("a number from 0 to ", kMaxTemperature));
  MILLRACE_RETURN_IF_ERROR(model_->context.Check(context, count));
  Rows<double> rows(count, model_->columns.num_columns());
  const auto slice = [&](std::int64_t first, std::int64_t n) -> absl::Status {
    Rows<float> x(n, model_->columns.dim());
    const Rows<float> c = model_->context.ToModel(context, first, n);
    MILLRACE_RETURN_IF_ERROR(backend_.Sample(*weights_, seed,
                                             first_row + static_cast<std::uint64_t>(first),
                                             temperature, c.view(), x.view(), {}, stop));
    for (std::int64_t r = 0; r < n; ++r) {
      if (!IsFinite(x.view(), r))
        return absl::FailedPreconditionError(absl::StrCat(
            "sample ", first_row + static_cast<std::uint64_t>(first + r), " at temperature ",
            temperature, " overflows single precision; lower the temperature"));
    }
    model_->columns.FromModel(x.view(), rows.view().Slice(first, n));
    return absl::OkStatus();
  };
  MILLRACE_RETURN_IF_ERROR(InSlices(count, FloatsOfRow(*model_), slice));
  return rows;
}

absl::StatusOr<Rows<double>> Density::LatentOf(RowsView<const double> rows,
                                               RowsView<const double> context,
                                               const std::stop_token& stop) const {
  const ColumnModel& columns = model_->columns;
  Rows<double> latent(rows.rows, columns.dim());
  const auto slice = [&](std::int64_t first, std::int64_t count) -> absl::Status {
    Rows<float> x(count, columns.dim());
    std::vector<double> log_det(static_cast<std::size_t>(count));
    std::vector<std::uint8_t> outside(static_cast<std::size_t>(count));
    columns.ToModel(rows.Slice(first, count), ColumnModel::kBinCentres, x.view(), log_det, outside);
    for (std::int64_t r = 0; r < count; ++r) {
      if (outside[r])
        return RowError(
            "rows", first + r, "a row outside the support",
            "values within declared bounds, on their lattice, and of constant columns the "
            "constant");
    }
    Rows<float> z(count, columns.dim());
    const Rows<float> c = model_->context.ToModel(context, first, count);
    MILLRACE_RETURN_IF_ERROR(
        backend_.Forward(*weights_, x.view(), c.view(), z.view(), log_det, stop));
    for (std::int64_t r = 0; r < count; ++r) {
      if (!IsFinite(z.view(), r))
        return RowError("rows", first + r, "a latent point that overflows",
                        "a row nearer to the data");
    }
    std::copy_n(z.data(), count * columns.dim(), latent.data() + first * columns.dim());
    return absl::OkStatus();
  };
  MILLRACE_RETURN_IF_ERROR(InSlices(rows.rows, FloatsOfRow(*model_), slice));
  return latent;
}

absl::StatusOr<Rows<double>> Density::Encode(RowsView<const double> rows, std::stop_token stop,
                                             RowsView<const double> context) const {
  MILLRACE_RETURN_IF_ERROR(model_->columns.CheckRows(rows));
  MILLRACE_RETURN_IF_ERROR(model_->context.Check(context, rows.rows));
  return LatentOf(rows, context, stop);
}

absl::StatusOr<Rows<double>> Density::Decode(RowsView<const double> latent, std::stop_token stop,
                                             RowsView<const double> context) const {
  const ColumnModel& columns = model_->columns;
  MILLRACE_RETURN_IF_ERROR(CheckLatent(latent, columns.dim()));
  MILLRACE_RETURN_IF_ERROR(model_->context.Check(context, latent.rows));
  Rows<double> rows(latent.rows, columns.num_columns());
  const auto slice = [&](std::int64_t first, std::int64_t count) -> absl::Status {
    Rows<float> z(count, columns.dim());
    std::transform(latent.data + first * latent.cols, latent.data + (first + count) * latent.cols,
                   z.data(), [](double v) { return static_cast<float>(v); });
    Rows<float> x(count, columns.dim());
    std::vector<double> log_det(static_cast<std::size_t>(count));
    const Rows<float> c = model_->context.ToModel(context, first, count);
    MILLRACE_RETURN_IF_ERROR(
        backend_.Inverse(*weights_, z.view(), c.view(), x.view(), log_det, stop));
    for (std::int64_t r = 0; r < count; ++r) {
      if (!IsFinite(x.view(), r))
        return RowError("latents", first + r, "a row that overflows", "a latent point nearer to 0");
    }
    columns.FromModel(x.view(), rows.view().Slice(first, count));
    return absl::OkStatus();
  };
  MILLRACE_RETURN_IF_ERROR(InSlices(latent.rows, FloatsOfRow(*model_), slice));
  return rows;
}

absl::StatusOr<Path> Density::Interpolate(RowsView<const double> from, RowsView<const double> to,
                                          const InterpolationOptions& options, std::stop_token stop,
                                          RowsView<const double> context) const {
  if (options.steps < 2 || options.steps > InterpolationOptions::kMaxSteps)
    return InvalidArgument("steps", absl::StrCat(options.steps),
                           absl::StrCat("2 to ", InterpolationOptions::kMaxSteps));
  const bool uniform = flow().spec().base.kind == BaseSpec::Kind::kUniform;
  const InterpolationKind kind =
      options.kind.value_or(uniform ? InterpolationKind::kLinear : InterpolationKind::kSpherical);
  if (uniform && kind == InterpolationKind::kSpherical)
    return InvalidArgument("method", "spherical",
                           "linear: over a uniform base a circle may leave the interval");
  Rows<double> ends(2, model_->columns.num_columns());
  int end = 0;
  for (const RowsView<const double> row : {from, to}) {
    if (row.rows != 1 || row.cols != ends.cols())
      return InvalidArgument("rows", absl::StrCat(row.rows, " rows of ", row.cols, " columns"),
                             absl::StrCat("one row of ", ends.cols(), " columns at each end"));
    std::copy_n(row.data, row.cols, ends.view().row(end++).data());
  }
  MILLRACE_RETURN_IF_ERROR(model_->columns.CheckRows(ends.view()));
  MILLRACE_RETURN_IF_ERROR(model_->context.Check(context, 1));
  MILLRACE_ASSIGN_OR_RETURN(const Rows<double> latent, LatentOf(ends.view(), context, stop));
  Rows<double> points(options.steps, latent.cols());
  for (int i = 0; i < options.steps; ++i) {
    const std::vector<double> point =
        InterpolateLatent(kind, latent.view().row(0), latent.view().row(1),
                          static_cast<double>(i) / (options.steps - 1));
    std::copy(point.begin(), point.end(), points.view().row(i).data());
  }
  Path path;
  MILLRACE_ASSIGN_OR_RETURN(path.rows, Decode(points.view(), stop, context));
  MILLRACE_ASSIGN_OR_RETURN(LogProbResult density, LogProbOf(path.rows.view(), context, stop));
  path.log_prob = std::move(density.log_prob);
  return path;
}

}  // namespace millrace
