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
#include "server/rpc/status.h"

namespace millrace {
namespace {

using ColumnNames = google::protobuf::RepeatedPtrField<std::string>;

constexpr std::uint32_t kMinSteps = 2;
constexpr std::uint32_t kMaxSteps = InterpolationOptions::kMaxSteps;

// Shape, limits and width of the rows of a request.
absl::Status CheckRows(const v1::Matrix& rows, const ColumnNames& names, const ServedModel& served,
                       const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(
      CheckMatrix(rows, "rows", limits.max_request_rows, "max_request_rows", limits));
  const auto columns = static_cast<std::uint32_t>(served.density->model().columns.num_columns());
  if (names.empty()) {
    if (rows.cols() == columns) return absl::OkStatus();
    return InvalidArgument("rows.cols", absl::StrCat(rows.cols()),
                           absl::StrCat(columns, " columns, as model ", served.name, " has"));
  }
  if (static_cast<std::uint32_t>(names.size()) == rows.cols()) return absl::OkStatus();
  return InvalidArgument(
      "column_names", absl::StrCat(names.size(), " names"),
      absl::StrCat("one name for each of the ", rows.cols(), " columns of rows"));
}

// The rows in the model's column order.
absl::StatusOr<Rows<double>> ReadRows(const v1::Matrix& matrix, const ColumnNames& names,
                                      const ServedModel& served) {
  Rows<double> given(matrix.rows(), static_cast<int>(matrix.cols()));
  MILLRACE_RETURN_IF_ERROR(
      ReadMatrix(matrix, "rows", 0, {given.data(), std::size_t{matrix.rows()} * matrix.cols()}));
  if (names.empty()) return given;
  const std::vector<std::string> names_vector(names.begin(), names.end());
  absl::StatusOr<std::vector<int>> order =
      served.density->model().columns.MatchColumns(names_vector);
  if (!order.ok()) return WithDefaultField(std::move(order).status(), "column_names");
  Rows<double> rows(given.rows(), static_cast<int>(order->size()));
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    for (int c = 0; c < rows.cols(); ++c) rows(r, c) = given(r, (*order)[c]);
  }
  return rows;
}

// The size of a query; `rows` is the number in `field`.
absl::StatusOr<QuerySize> SizeOf(std::int64_t rows, std::int64_t evaluations_a_row,
                                 absl::string_view field, const Limits& limits) {
  const std::int64_t most = limits.max_request_evaluations / evaluations_a_row;
  if (rows <= most) return QuerySize{rows, rows * evaluations_a_row};
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      {.field = std::string(field),
       .value = absl::StrCat(rows),
       .expected = absl::StrCat("at most ", most, ", since each takes ", evaluations_a_row,
                                " evaluations (--max_request_evaluations)")});
}

// Evaluations of the flow that the log-density of a row takes.
std::int64_t EvaluationsOfRow(const ServedModel& served) {
  return served.density->model().columns.num_offsets();
}

template <typename Response>
void WriteColumnNames(const ServedModel& served, Response* response) {
  for (const Column& column : served.density->model().columns.columns()) {
    response->add_column_names(column.name);
  }
}

template <typename From, typename To>
void CopyInto(const From& from, To* to) {
  to->Assign(from.begin(), from.end());
}

absl::StatusOr<InterpolationKind> KindOf(v1::InterpolationMethod method) {
  switch (method) {
    case v1::INTERPOLATION_METHOD_LINEAR:
      return InterpolationKind::kLinear;
    case v1::INTERPOLATION_METHOD_UNSPECIFIED:
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
  MILLRACE_RETURN_IF_ERROR(CheckRows(request.rows(), request.column_names(), served, limits));
  return SizeOf(request.rows().rows(), EvaluationsOfRow(served), "rows.rows", limits);
}

absl::Status Answer(const v1::LogProbRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::LogProbResponse* response) {
  MILLRACE_ASSIGN_OR_RETURN(const Rows<double> rows,
                            ReadRows(request.rows(), request.column_names(), served));
  absl::StatusOr<LogProbResult> result = served.density->LogProb(rows.view(), stop);
  if (!result.ok()) return WithDefaultField(std::move(result).status(), "rows");
  CopyInto(result->log_prob, response->mutable_log_prob());
  CopyInto(result->out_of_support, response->mutable_out_of_support());
  return absl::OkStatus();
}

absl::StatusOr<QuerySize> CheckQuery(const v1::ScoreRequest& request, const ServedModel& served,
                                     const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckRows(request.rows(), request.column_names(), served, limits));
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

absl::Status Answer(const v1::ScoreRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::ScoreResponse* response) {
  MILLRACE_ASSIGN_OR_RETURN(const Rows<double> rows,
                            ReadRows(request.rows(), request.column_names(), served));
  ScoreOptions options;
  if (request.has_false_positive_rate())
    options.false_positive_rate = request.false_positive_rate();
  MILLRACE_ASSIGN_OR_RETURN(options.contributions, ContributionsOf(request.contributions()));
  absl::StatusOr<ScoreResult> result = served.density->Score(rows.view(), options, stop);
  if (!result.ok()) return WithDefaultField(std::move(result).status(), "false_positive_rate");
  CopyInto(result->density.log_prob, response->mutable_log_prob());
  CopyInto(result->density.out_of_support, response->mutable_out_of_support());
  CopyInto(result->tail_probability, response->mutable_tail_probability());
  CopyInto(result->is_anomaly, response->mutable_is_anomaly());
  response->set_false_positive_rate(result->false_positive_rate);
  response->set_threshold(result->threshold);
  if (options.contributions == Contributions::kNone) return absl::OkStatus();
  WriteMatrix(result->contributions.view(), response->mutable_contributions());
  for (const Column& column : served.density->model().columns.columns()) {
    response->add_contribution_column_names(column.name);
  }
  return absl::OkStatus();
}

absl::StatusOr<QuerySize> CheckQuery(const v1::InterpolateRequest& request,
                                     const ServedModel& served, const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckRows(request.rows(), request.column_names(), served, limits));
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
  MILLRACE_ASSIGN_OR_RETURN(const Rows<double> rows,
                            ReadRows(request.rows(), request.column_names(), served));
  InterpolationOptions options;
  options.steps = static_cast<int>(request.steps());
  MILLRACE_ASSIGN_OR_RETURN(options.kind, KindOf(request.method()));
  absl::StatusOr<Path> result =
      served.density->Interpolate(rows.view().Slice(0, 1), rows.view().Slice(1, 1), options, stop);
  if (!result.ok()) return WithDefaultField(std::move(result).status(), "rows");
  WriteMatrix(result->rows.view(), response->mutable_path());
  CopyInto(result->log_prob, response->mutable_log_prob());
  WriteColumnNames(served, response);
  return absl::OkStatus();
}

absl::StatusOr<QuerySize> CheckQuery(const v1::EncodeRequest& request, const ServedModel& served,
                                     const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckRows(request.rows(), request.column_names(), served, limits));
  MILLRACE_RETURN_IF_ERROR(CheckReplySize(
      request.rows().rows(), served.density->model().columns.dim(), "rows.rows", limits));
  return SizeOf(request.rows().rows(), 1, "rows.rows", limits);
}

absl::Status Answer(const v1::EncodeRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::EncodeResponse* response) {
  MILLRACE_ASSIGN_OR_RETURN(const Rows<double> rows,
                            ReadRows(request.rows(), request.column_names(), served));
  absl::StatusOr<Rows<double>> result = served.density->Encode(rows.view(), stop);
  if (!result.ok()) return WithDefaultField(std::move(result).status(), "rows");
  WriteMatrix(result->view(), response->mutable_latents());
  return absl::OkStatus();
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
  MILLRACE_RETURN_IF_ERROR(
      CheckReplySize(latents.rows(), columns.num_columns(), "latents.rows", limits));
  return SizeOf(latents.rows(), 1, "latents.rows", limits);
}

absl::Status Answer(const v1::DecodeRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::DecodeResponse* response) {
  const v1::Matrix& matrix = request.latents();
  Rows<double> latents(matrix.rows(), static_cast<int>(matrix.cols()));
  MILLRACE_RETURN_IF_ERROR(ReadMatrix(
      matrix, "latents", 0, {latents.data(), std::size_t{matrix.rows()} * matrix.cols()}));
  absl::StatusOr<Rows<double>> result = served.density->Decode(latents.view(), stop);
  if (!result.ok()) return WithDefaultField(std::move(result).status(), "latents");
  WriteMatrix(result->view(), response->mutable_rows());
  WriteColumnNames(served, response);
  return absl::OkStatus();
}

}  // namespace millrace
