// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/density_queries.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/score/attribution.h"
#include "core/score/density.h"
#include "server/rpc/matrix.h"
#include "server/rpc/query_parts.h"
#include "server/rpc/status.h"

namespace millrace {
namespace {

constexpr std::uint32_t kMinSteps = 2;
constexpr std::uint32_t kMaxSteps = InterpolationOptions::kMaxSteps;

template <typename Request, typename Response>
absl::StatusOr<LogProbQuery> NewQuery(const Request& request, const ServedModel& served,
                                      const std::stop_token& stop, Response* response) {
  LogProbQuery query;
  MILLRACE_ASSIGN_OR_RETURN(query.input, ReadInput(request, served));
  const NumberRows& rows = query.input.rows.view();
  query.job = {.rows = rows,
               .context = query.input.context.view(),
               .stop = stop,
               .log_prob = NewValues(rows.rows, response->mutable_log_prob()),
               .out_of_support = NewFlags(rows.rows, response->mutable_out_of_support())};
  return query;
}

absl::StatusOr<std::optional<InterpolationKind>> KindOf(v1::InterpolationMethod method) {
  switch (method) {
    case v1::INTERPOLATION_METHOD_LINEAR:
      return InterpolationKind::kLinear;
    case v1::INTERPOLATION_METHOD_UNSPECIFIED:
      return std::nullopt;
    case v1::INTERPOLATION_METHOD_SPHERICAL:
      return InterpolationKind::kSpherical;
    default:
      return InvalidArgument("method", absl::StrCat(method), "a known InterpolationMethod");
  }
}

absl::StatusOr<Contributions> ContributionsOf(v1::Contributions contributions) {
  switch (contributions) {
    case v1::CONTRIBUTIONS_UNSPECIFIED:
    case v1::CONTRIBUTIONS_NONE:
      return Contributions::kNone;
    case v1::CONTRIBUTIONS_CONDITIONAL:
      return Contributions::kConditional;
    case v1::CONTRIBUTIONS_CHAIN:
      return Contributions::kChain;
    default:
      return InvalidArgument("contributions", absl::StrCat(contributions), "a known value");
  }
}

}  // namespace

absl::StatusOr<QuerySize> CheckQuery(const v1::LogProbRequest& request, const ServedModel& served,
                                     const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckInput(request, request.rows().rows(), served, limits));
  return SizeOf(request.rows().rows(), EvaluationsOfRow(served), "rows.rows", limits);
}

absl::StatusOr<LogProbQuery> Prepare(const v1::LogProbRequest& request, const ServedModel& served,
                                     const std::stop_token& stop, v1::LogProbResponse* response) {
  return NewQuery(request, served, stop, response);
}

absl::Status Complete(const v1::LogProbRequest&, const ServedModel&, const LogProbQuery&,
                      absl::Status computed, v1::LogProbResponse*) {
  return WithDefaultField(std::move(computed), "rows");
}

absl::StatusOr<QuerySize> CheckQuery(const v1::ScoreRequest& request, const ServedModel& served,
                                     const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckInput(request, request.rows().rows(), served, limits));
  MILLRACE_ASSIGN_OR_RETURN(const Contributions contributions,
                            ContributionsOf(request.contributions()));
  if (contributions != Contributions::kNone) {
    MILLRACE_RETURN_IF_ERROR(
        CheckReplySize(request.rows().rows(), request.rows().cols(), "rows.rows", limits));
  }
  std::int64_t of_row = EvaluationsOfRow(served);
  if (contributions == Contributions::kConditional)
    of_row *= 1 + kEvaluationsOfLine * served.density->model().columns.dim();
  if (contributions == Contributions::kChain) of_row *= 2;
  return SizeOf(request.rows().rows(), of_row, "rows.rows", limits);
}

absl::StatusOr<LogProbQuery> Prepare(const v1::ScoreRequest& request, const ServedModel& served,
                                     const std::stop_token& stop, v1::ScoreResponse* response) {
  const Density& density = *served.density;
  MILLRACE_ASSIGN_OR_RETURN(const Contributions contributions,
                            ContributionsOf(request.contributions()));
  const absl::StatusOr<AnomalyRule> rule = density.RuleOf(
      request.has_false_positive_rate() ? std::optional<double>(request.false_positive_rate())
                                        : std::nullopt);
  if (!rule.ok()) return WithDefaultField(rule.status(), "false_positive_rate");
  MILLRACE_RETURN_IF_ERROR(density.CheckContributions(contributions));
  MILLRACE_ASSIGN_OR_RETURN(LogProbQuery query, NewQuery(request, served, stop, response));
  query.rule = *rule;
  return query;
}

absl::Status Complete(const v1::ScoreRequest& request, const ServedModel& served,
                      const LogProbQuery& query, absl::Status computed,
                      v1::ScoreResponse* response) {
  if (!computed.ok()) return WithDefaultField(std::move(computed), "rows");
  const LogProbJob& job = query.job;
  query.rule->Apply(job.log_prob, job.out_of_support,
                    NewValues(job.rows.rows, response->mutable_tail_probability()),
                    NewFlags(job.rows.rows, response->mutable_is_anomaly()));
  response->set_false_positive_rate(query.rule->false_positive_rate());
  response->set_threshold(query.rule->threshold());
  MILLRACE_ASSIGN_OR_RETURN(const Contributions contributions,
                            ContributionsOf(request.contributions()));
  if (contributions == Contributions::kNone) return absl::OkStatus();
  MILLRACE_ASSIGN_OR_RETURN(const Rows<double> terms,
                            served.density->ContributionsOf(job.rows, job.log_prob, contributions,
                                                            job.stop, job.context));
  WriteMatrix(terms.view(), response->mutable_contributions());
  for (const Column& column : served.density->model().columns.columns()) {
    response->add_contribution_column_names(column.name);
  }
  return absl::OkStatus();
}

absl::Status Answer(const v1::ScoreRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::ScoreResponse* response) {
  MILLRACE_ASSIGN_OR_RETURN(const LogProbQuery query, Prepare(request, served, stop, response));
  return Complete(request, served, query, served.density->LogProb(query.job), response);
}

absl::StatusOr<QuerySize> CheckQuery(const v1::InterpolateRequest& request,
                                     const ServedModel& served, const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckInput(request, 1, served, limits));
  if (request.rows().rows() != 2) {
    return InvalidArgument("rows.rows", absl::StrCat(request.rows().rows()),
                           "2 rows, start and end");
  }
  if (request.steps() < kMinSteps || request.steps() > kMaxSteps) {
    return InvalidArgument("steps", absl::StrCat(request.steps()),
                           absl::StrCat("a number in [", kMinSteps, ", ", kMaxSteps, "]"));
  }
  MILLRACE_RETURN_IF_ERROR(KindOf(request.method()).status());
  MILLRACE_RETURN_IF_ERROR(CheckReplySize(
      request.steps(), served.density->model().columns.num_columns(), "steps", limits));
  return SizeOf(request.steps(), 1 + EvaluationsOfRow(served), "steps", limits);
}

absl::Status Answer(const v1::InterpolateRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::InterpolateResponse* response) {
  MILLRACE_ASSIGN_OR_RETURN(const QueryInput input, ReadInput(request, served));
  InterpolationOptions options;
  options.steps = static_cast<int>(request.steps());
  MILLRACE_ASSIGN_OR_RETURN(options.kind, KindOf(request.method()));
  absl::StatusOr<Path> result =
      served.density->Interpolate(input.rows.view().Slice(0, 1), input.rows.view().Slice(1, 1),
                                  options, stop, input.context.view());
  if (!result.ok()) return WithDefaultField(std::move(result).status(), "rows");
  WriteMatrix(result->rows.view(), response->mutable_path());
  CopyInto(result->log_prob, response->mutable_log_prob());
  WriteColumnNames(served, response);
  return absl::OkStatus();
}

absl::StatusOr<QuerySize> CheckQuery(const v1::EncodeRequest& request, const ServedModel& served,
                                     const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckInput(request, request.rows().rows(), served, limits));
  MILLRACE_RETURN_IF_ERROR(CheckReplySize(
      request.rows().rows(), served.density->model().columns.dim(), "rows.rows", limits));
  return SizeOf(request.rows().rows(), 1, "rows.rows", limits);
}

absl::Status Answer(const v1::EncodeRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::EncodeResponse* response) {
  MILLRACE_ASSIGN_OR_RETURN(const QueryInput input, ReadInput(request, served));
  const NumberRows& rows = input.rows.view();
  const int dim = served.density->model().columns.dim();
  return WithDefaultField(
      served.density->Encode({.from = rows,
                              .context = input.context.view(),
                              .stop = stop,
                              .to = NewMatrix(rows.rows, dim, response->mutable_latents())}),
      "rows");
}

absl::StatusOr<QuerySize> CheckQuery(const v1::DecodeRequest& request, const ServedModel& served,
                                     const Limits& limits) {
  const v1::Matrix& latents = request.latents();
  MILLRACE_RETURN_IF_ERROR(
      CheckMatrix(latents, "latents", limits.max_request_rows, "max_request_rows", limits));
  const ColumnModel& columns = served.density->model().columns;
  if (static_cast<int>(latents.cols()) != columns.dim()) {
    return InvalidArgument(
        "latents.cols", absl::StrCat(latents.cols()),
        absl::StrCat(columns.dim(), " columns, the latent dimensions of model ", served.name));
  }
  MILLRACE_RETURN_IF_ERROR(CheckContext(request, latents.rows(), served, limits));
  MILLRACE_RETURN_IF_ERROR(
      CheckReplySize(latents.rows(), columns.num_columns(), "latents.rows", limits));
  return SizeOf(latents.rows(), 1, "latents.rows", limits);
}

absl::Status Answer(const v1::DecodeRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::DecodeResponse* response) {
  MILLRACE_ASSIGN_OR_RETURN(const RequestRows context, ReadContext(request, served));
  const NumberRows latents = ViewOf(request.latents());
  const int columns = served.density->model().columns.num_columns();
  WriteColumnNames(served, response);
  return WithDefaultField(
      served.density->Decode({.from = latents,
                              .context = context.view(),
                              .stop = stop,
                              .to = NewMatrix(latents.rows, columns, response->mutable_rows())}),
      "latents");
}

}  // namespace millrace
