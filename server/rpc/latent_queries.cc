// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/latent_queries.h"

#include <algorithm>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/score/attribute.h"
#include "core/score/completion.h"
#include "core/score/density.h"
#include "server/app/log.h"
#include "server/rpc/matrix.h"
#include "server/rpc/model_message.h"
#include "server/rpc/status.h"

namespace millrace {
namespace {

int AsInt(std::uint32_t value) {
  return static_cast<int>(std::min<std::uint32_t>(value, std::numeric_limits<int>::max()));
}

CompletionOptions OptionsOf(const v1::CompleteRequest& request) {
  CompletionOptions options{
      .draws = AsInt(request.draws()), .seed = request.seed(), .first_row = request.first_row()};
  if (request.steps() > 0) options.steps = AsInt(request.steps());
  return options;
}

// A row is too much by itself where no number of rows is small enough.
absl::string_view FieldTooLarge(const CompletionOptions& options, std::int64_t of_row,
                                const Limits& limits) {
  if (of_row <= limits.max_request_evaluations) return "rows.rows";
  return options.draws > 1 ? "draws" : "steps";
}

// The fault as one of "rows_with" where it is of "rows", and likewise of contexts and parts of
// both.
absl::Status OfPart(const absl::Status& status, absl::string_view part) {
  ErrorDetail detail = DetailOf(status);
  const std::size_t end = std::min(detail.field.find('.'), detail.field.size());
  const std::string name = detail.field.substr(0, end);
  if (name != "rows" && name != "context") return status;
  detail.field.insert(end, absl::StrCat("_", part));
  return MakeError(status.code(), detail);
}

template <typename Request>
std::span<const double> VectorOf(const Request& request) {
  return {request.vector().data(), static_cast<std::size_t>(request.vector_size())};
}

// One of the two sets of rows of a CreateAttributeVectorRequest.
struct Part {
  absl::string_view name;
  const v1::Matrix& rows;
  bool has_context;
  const v1::Matrix& context;
};

Part WithPart(const v1::CreateAttributeVectorRequest& request) {
  return {"with", request.rows_with(), request.has_context_with(), request.context_with()};
}
Part WithoutPart(const v1::CreateAttributeVectorRequest& request) {
  return {"without", request.rows_without(), request.has_context_without(),
          request.context_without()};
}

absl::Status CheckPart(const v1::CreateAttributeVectorRequest& request, const Part& part,
                       const ServedModel& served, const Limits& limits) {
  absl::Status status = CheckRows(part.rows, request.column_names(), served, limits);
  if (status.ok())
    status = CheckContext(part.has_context, part.context, request.context_column_names(),
                          part.rows.rows(), served, limits);
  return OfPart(status, part.name);
}

// A vector that the caller computed, with the numbers of its rows.
absl::Status CheckVector(const v1::CreateAttributeVectorRequest& request,
                         const ServedModel& served) {
  if (request.has_rows_with() || request.has_rows_without() || request.has_context_with() ||
      request.has_context_without() || request.column_names_size() > 0 ||
      request.context_column_names_size() > 0)
    return InvalidArgument("vector", "given beside rows, contexts or names of columns",
                           "either rows or their vector");
  for (const auto& [field, rows] :
       {std::pair("vector_rows_with", request.vector_rows_with()),
        std::pair("vector_rows_without", request.vector_rows_without())})
    if (rows < 1 || rows > std::numeric_limits<std::int64_t>::max())
      return InvalidArgument(field, absl::StrCat(rows), "a number of rows, 1 to 2^63 - 1");
  return CheckLatentVector(VectorOf(request), served.density->model());
}

absl::StatusOr<QueryInput> ReadPart(const v1::CreateAttributeVectorRequest& request,
                                    const Part& part, const ServedModel& served) {
  QueryInput input;
  MILLRACE_ASSIGN_OR_RETURN(input.rows, ReadRows(part.rows, request.column_names(), served));
  MILLRACE_ASSIGN_OR_RETURN(input.context,
                            ReadContext(part.context, request.context_column_names(), served));
  return input;
}

absl::StatusOr<AttributeVector> AttributeOf(const v1::CreateAttributeVectorRequest& request,
                                            const ServedModel& served,
                                            const std::stop_token& stop) {
  if (const std::span<const double> vector = VectorOf(request); !vector.empty())
    return AttributeVector{
        .name = request.attribute(),
        .vector = {vector.begin(), vector.end()},
        .rows_with = static_cast<std::int64_t>(request.vector_rows_with()),
        .rows_without = static_cast<std::int64_t>(request.vector_rows_without())};
  MILLRACE_ASSIGN_OR_RETURN(const QueryInput with, ReadPart(request, WithPart(request), served));
  MILLRACE_ASSIGN_OR_RETURN(const QueryInput without,
                            ReadPart(request, WithoutPart(request), served));
  absl::StatusOr<AttributeVector> attribute = ComputeAttribute(
      *served.density, request.attribute(), {with.rows.view(), with.context.view()},
      {without.rows.view(), without.context.view()}, stop);
  if (!attribute.ok()) return WithDefaultField(std::move(attribute).status(), "rows_with");
  return attribute;
}

}  // namespace

absl::StatusOr<QuerySize> CheckQuery(const v1::CompleteRequest& request, const ServedModel& served,
                                     const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckInput(request, request.rows().rows(), served, limits));
  const CompletionOptions options = OptionsOf(request);
  MILLRACE_RETURN_IF_ERROR(CheckOptions(options));
  const std::int64_t rows = request.rows().rows();
  const std::int64_t copies = std::max(options.draws, 1);
  MILLRACE_RETURN_IF_ERROR(CheckReplySize(rows * copies,
                                          served.density->model().columns.num_columns(),
                                          rows > 1 ? "rows.rows" : "draws", limits));
  const std::int64_t of_row = EvaluationsOfCompletion(options) + copies * EvaluationsOfRow(served);
  MILLRACE_ASSIGN_OR_RETURN(QuerySize size,
                            SizeOf(rows, of_row, FieldTooLarge(options, of_row, limits), limits));
  size.rows *= copies;
  return size;
}

absl::Status Answer(const v1::CompleteRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::CompleteResponse* response) {
  MILLRACE_ASSIGN_OR_RETURN(const QueryInput input, ReadInput(request, served));
  absl::StatusOr<Completions> done =
      served.density->Complete(input.rows.view(), OptionsOf(request), stop, input.context.view());
  if (!done.ok()) return WithDefaultField(std::move(done).status(), "rows");
  WriteMatrix(done->rows.view(), response->mutable_rows());
  CopyInto(done->log_prob, response->mutable_log_prob());
  CopyInto(done->out_of_support, response->mutable_out_of_support());
  CopyInto(done->acceptance, response->mutable_acceptance_rate());
  CopyInto(done->converged, response->mutable_converged());
  WriteColumnNames(served, response);
  return absl::OkStatus();
}

absl::StatusOr<QuerySize> CheckQuery(const v1::ManipulateRequest& request,
                                     const ServedModel& served, const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckInput(request, request.rows().rows(), served, limits));
  if (request.attribute().empty() == request.vector().empty())
    return InvalidArgument("attribute", request.attribute(),
                           "either an attribute or a vector, and not both");
  if (request.vector().empty())
    MILLRACE_RETURN_IF_ERROR(FindAttribute(served.density->model(), request.attribute()).status());
  const std::int64_t amounts = request.amounts_size();
  if (amounts == 0) return InvalidArgument("amounts", "none", "at least 1");
  MILLRACE_RETURN_IF_ERROR(CheckReplySize(request.rows().rows() * amounts,
                                          served.density->model().columns.num_columns(),
                                          "rows.rows", limits));
  MILLRACE_ASSIGN_OR_RETURN(
      QuerySize size, SizeOf(request.rows().rows(), 1 + amounts * (1 + EvaluationsOfRow(served)),
                             "rows.rows", limits));
  size.rows *= amounts;
  return size;
}

absl::Status Answer(const v1::ManipulateRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::ManipulateResponse* response) {
  MILLRACE_ASSIGN_OR_RETURN(const QueryInput input, ReadInput(request, served));
  std::span<const double> vector = VectorOf(request);
  if (vector.empty()) {
    MILLRACE_ASSIGN_OR_RETURN(const AttributeVector* attribute,
                              FindAttribute(served.density->model(), request.attribute()));
    vector = attribute->vector;
  }
  const std::span<const double> amounts(request.amounts().data(),
                                        static_cast<std::size_t>(request.amounts_size()));
  absl::StatusOr<MovedRows> moved =
      Manipulate(*served.density, input.rows.view(), vector, amounts, stop, input.context.view());
  if (!moved.ok()) return WithDefaultField(std::move(moved).status(), "rows");
  WriteMatrix(moved->rows.view(), response->mutable_rows());
  CopyInto(moved->log_prob, response->mutable_log_prob());
  CopyInto(moved->out_of_support, response->mutable_out_of_support());
  WriteColumnNames(served, response);
  return absl::OkStatus();
}

absl::StatusOr<QuerySize> CheckQuery(const v1::CreateAttributeVectorRequest& request,
                                     const ServedModel& served, const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckMayAdd(request.attribute(), served.density->model()));
  if (!request.vector().empty()) {
    MILLRACE_RETURN_IF_ERROR(CheckVector(request, served));
    return QuerySize{.writes = true};
  }
  MILLRACE_RETURN_IF_ERROR(CheckPart(request, WithPart(request), served, limits));
  MILLRACE_RETURN_IF_ERROR(CheckPart(request, WithoutPart(request), served, limits));
  const std::int64_t rows =
      std::int64_t{request.rows_with().rows()} + request.rows_without().rows();
  MILLRACE_ASSIGN_OR_RETURN(QuerySize size, SizeOf(rows, 1, "rows_with.rows", limits));
  size.writes = true;
  return size;
}

absl::Status Answer(const v1::CreateAttributeVectorRequest& request, const ServedModel& served,
                    ModelRepository& repository, const std::stop_token& stop,
                    v1::CreateAttributeVectorResponse* response) {
  MILLRACE_RETURN_IF_ERROR(repository.CheckMayPublishAfter(served));
  MILLRACE_ASSIGN_OR_RETURN(AttributeVector attribute, AttributeOf(request, served, stop));
  WriteAttribute(attribute, response->mutable_attribute());
  Model model = served.density->model();
  MILLRACE_RETURN_IF_ERROR(AddAttribute(std::move(attribute), model));
  MILLRACE_ASSIGN_OR_RETURN(const ModelHandle published,
                            repository.PublishAfter(served, std::move(model)));
  response->set_name(published->name);
  response->set_version(published->version);
  Log(LogLevel::kInfo, "attribute published",
      {{"model", published->name},
       {"version", published->version},
       {"attribute", request.attribute()}});
  return absl::OkStatus();
}

}  // namespace millrace
