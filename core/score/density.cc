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

namespace millrace {

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

absl::Status Density::LogProb(const LogProbJob& job) const {
  return LogProbMany({&job, 1}).front();
}

absl::StatusOr<LogProbResult> Density::LogProb(const NumberRows& rows, std::stop_token stop,
                                               const NumberRows& context) const {
  LogProbResult result;
  result.log_prob.resize(static_cast<std::size_t>(rows.rows));
  result.out_of_support.resize(static_cast<std::size_t>(rows.rows));
  MILLRACE_RETURN_IF_ERROR(LogProb({.rows = rows,
                                    .context = context,
                                    .stop = std::move(stop),
                                    .log_prob = result.log_prob,
                                    .out_of_support = result.out_of_support}));
  return result;
}

absl::StatusOr<AnomalyRule> Density::RuleOf(std::optional<double> false_positive_rate) const {
  const Calibration& calibration = model_->calibration;
  return AnomalyRule::Create(calibration.log_probs,
                             false_positive_rate.value_or(calibration.false_positive_rate));
}

absl::Status Density::CheckContributions(Contributions contributions) const {
  if (contributions != Contributions::kChain || flow().IsTriangular(model_->parameters.span()))
    return absl::OkStatus();
  return InvalidArgument("contributions", "chain",
                         "conditional: the model is not triangular in column order");
}

absl::StatusOr<Rows<double>> Density::ContributionsOf(const NumberRows& rows,
                                                      std::span<const double> log_prob,
                                                      Contributions contributions,
                                                      std::stop_token stop,
                                                      const NumberRows& context) const {
  const AttributionInput input{.columns = model_->columns,
                               .backend = backend_,
                               .weights = *weights_,
                               .rows = rows,
                               .log_prob = log_prob,
                               .conditions = model_->context,
                               .context = context};
  switch (contributions) {
    case Contributions::kNone:
      return Rows<double>();
    case Contributions::kConditional:
      return ConditionalTerms(input, std::move(stop));
    case Contributions::kChain:
      return ChainTerms(input, std::move(stop));
  }
  return Rows<double>();
}

absl::StatusOr<ScoreResult> Density::Score(const NumberRows& rows, const ScoreOptions& options,
                                           std::stop_token stop, const NumberRows& context) const {
  MILLRACE_ASSIGN_OR_RETURN(const AnomalyRule rule, RuleOf(options.false_positive_rate));
  MILLRACE_RETURN_IF_ERROR(CheckContributions(options.contributions));
  ScoreResult result;
  MILLRACE_ASSIGN_OR_RETURN(result.density, LogProb(rows, stop, context));
  result.tail_probability.resize(result.density.log_prob.size());
  result.is_anomaly.resize(result.density.log_prob.size());
  rule.Apply(result.density.log_prob, result.density.out_of_support, result.tail_probability,
             result.is_anomaly);
  result.threshold = rule.threshold();
  result.false_positive_rate = rule.false_positive_rate();
  MILLRACE_ASSIGN_OR_RETURN(result.contributions,
                            ContributionsOf(rows, result.density.log_prob, options.contributions,
                                            std::move(stop), context));
  return result;
}

absl::Status Density::Sample(const SampleJob& job) const { return SampleMany({&job, 1}).front(); }

absl::StatusOr<Rows<double>> Density::Sample(std::uint64_t seed, std::uint64_t first_row,
                                             std::int64_t count, double temperature,
                                             std::stop_token stop,
                                             const NumberRows& context) const {
  Rows<double> rows(std::max<std::int64_t>(count, 0), model_->columns.num_columns());
  MILLRACE_RETURN_IF_ERROR(Sample({.seed = seed,
                                   .first_row = first_row,
                                   .temperature = temperature,
                                   .context = context,
                                   .stop = std::move(stop),
                                   .rows = {rows.data(), count, rows.cols()}}));
  return rows;
}

absl::StatusOr<Rows<double>> Density::Encode(const NumberRows& rows, std::stop_token stop,
                                             const NumberRows& context) const {
  Rows<double> latent(rows.rows, model_->columns.dim());
  MILLRACE_RETURN_IF_ERROR(
      Encode({.from = rows, .context = context, .stop = std::move(stop), .to = latent.view()}));
  return latent;
}

absl::StatusOr<Rows<double>> Density::Decode(const NumberRows& latent, std::stop_token stop,
                                             const NumberRows& context) const {
  Rows<double> rows(latent.rows, model_->columns.num_columns());
  MILLRACE_RETURN_IF_ERROR(
      Decode({.from = latent, .context = context, .stop = std::move(stop), .to = rows.view()}));
  return rows;
}

absl::StatusOr<Path> Density::Interpolate(const NumberRows& from, const NumberRows& to,
                                          const InterpolationOptions& options, std::stop_token stop,
                                          const NumberRows& context) const {
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
  for (const NumberRows& row : {from, to}) {
    if (row.rows != 1 || row.cols != ends.cols())
      return InvalidArgument("rows", absl::StrCat(row.rows, " rows of ", row.cols, " columns"),
                             absl::StrCat("one row of ", ends.cols(), " columns at each end"));
    MILLRACE_RETURN_IF_ERROR(model_->columns.CheckRow(row, 0, end));
    row.Read(0, 0, ends.view().row(end++));
  }
  MILLRACE_RETURN_IF_ERROR(model_->context.CheckShape(context, 1));
  MILLRACE_ASSIGN_OR_RETURN(const Rows<double> latent, Encode(ends.view(), stop, context));
  Rows<double> points(options.steps, latent.cols());
  for (int i = 0; i < options.steps; ++i) {
    const std::vector<double> point =
        InterpolateLatent(kind, latent.view().row(0), latent.view().row(1),
                          static_cast<double>(i) / (options.steps - 1));
    std::copy(point.begin(), point.end(), points.view().row(i).data());
  }
  Path path;
  MILLRACE_ASSIGN_OR_RETURN(path.rows, Decode(points.view(), stop, context));
  MILLRACE_ASSIGN_OR_RETURN(LogProbResult density,
                            LogProb(path.rows.view(), std::move(stop), context));
  path.log_prob = std::move(density.log_prob);
  return path;
}

absl::StatusOr<Completions> Density::Complete(const NumberRows& rows,
                                              const CompletionOptions& options,
                                              std::stop_token stop,
                                              const NumberRows& context) const {
  MILLRACE_RETURN_IF_ERROR(CheckOptions(options));
  MILLRACE_RETURN_IF_ERROR(CheckIncomplete(model_->columns, rows));
  MILLRACE_RETURN_IF_ERROR(model_->context.Check(context, rows.rows));
  MILLRACE_ASSIGN_OR_RETURN(Completions done, CompleteRows({.columns = model_->columns,
                                                            .backend = backend_,
                                                            .weights = *weights_,
                                                            .rows = rows,
                                                            .conditions = model_->context,
                                                            .context = context},
                                                           options, stop));
  const std::int64_t copies = std::max(options.draws, 1);
  Rows<double> contexts(context.rows > 1 ? done.rows.rows() : context.rows, context.cols);
  for (std::int64_t r = 0; r < contexts.rows(); ++r)
    context.Read(context.rows > 1 ? r / copies : 0, 0, contexts.view().row(r));
  MILLRACE_ASSIGN_OR_RETURN(LogProbResult density,
                            LogProb(done.rows.view(), std::move(stop), contexts.view()));
  done.log_prob = std::move(density.log_prob);
  done.out_of_support = std::move(density.out_of_support);
  return done;
}

}  // namespace millrace
