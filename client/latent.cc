// SPDX-License-Identifier: Apache-2.0
// Client::Complete, CreateAttributeVector and Manipulate.
#include <algorithm>
#include <utility>

#include "client/client.h"
#include "client/requests.h"

namespace millrace::client {
namespace {

// A completion takes thousands of evaluations, so fewer rows go into a request.
constexpr std::int64_t kCompletions = 1024;

// As many as `most` answers take, each row having `answers`.
std::int64_t RowsOf(std::int64_t most, std::int64_t answers) {
  return std::max<std::int64_t>(1, most / std::max<std::int64_t>(1, answers));
}

absl::Status CheckNames(const Table& with, const Table& without) {
  if (with.column_names == without.column_names && with.cols == without.cols)
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      "rows with and without an attribute must have the same columns in the same order");
}

absl::Status CheckAttributeRows(const AttributeRows& rows) {
  absl::Status status = CheckTable(rows.with);
  status.Update(CheckTable(rows.without));
  status.Update(CheckContext(rows.context_with, rows.with.rows));
  status.Update(CheckContext(rows.context_without, rows.without.rows));
  status.Update(CheckNames(rows.with, rows.without));
  if (rows.context_with.rows > 0 && rows.context_without.rows > 0)
    status.Update(CheckNames(rows.context_with, rows.context_without));
  return status;
}

absl::Status AbsorbCompletions(const v1::CompleteResponse& response, std::int64_t count, bool drawn,
                               CompleteResult& result) {
  SetNames(response.column_names(), result.rows);
  absl::Status status = AppendRows("Complete", response.rows(), count, result.rows);
  status.Update(Append("Complete", "log_prob", response.log_prob(), count, result.log_prob));
  status.Update(Append("Complete", "out_of_support", response.out_of_support(), count,
                       result.out_of_support));
  if (drawn) {
    status.Update(Append("Complete", "acceptance_rate", response.acceptance_rate(), count,
                         result.acceptance_rate));
  } else {
    status.Update(Append("Complete", "converged", response.converged(), count, result.converged));
  }
  return status;
}

}  // namespace

absl::StatusOr<CompleteResult> Client::Complete(const ModelRef& model, const Table& rows,
                                                const CompleteOptions& options,
                                                const Table& context,
                                                const CallOptions& call) const {
  auto request = RequestFor<v1::CompleteRequest>(model);
  request.set_draws(static_cast<std::uint32_t>(std::max(options.draws, 0)));
  request.set_steps(static_cast<std::uint32_t>(std::max(options.steps, 0)));
  request.set_seed(options.seed);
  request.set_first_row(options.first_row);
  const std::int64_t copies = std::max(options.draws, 1);
  CompleteResult result;
  const auto version =
      InParts(*density_, &v1::DensityService::Stub::Complete, std::move(request), rows, context,
              RowsOf(std::min(RowsPerMessage(options_, rows, context), kCompletions), copies),
              options_, call, [&](const v1::CompleteResponse& response, std::int64_t count) {
                return AbsorbCompletions(response, count * copies, options.draws > 0, result);
              });
  if (!version.ok()) return version.status();
  result.version = *version;
  return result;
}

absl::StatusOr<v1::CreateAttributeVectorResponse> Client::CreateAttributeVector(
    const ModelRef& model, const std::string& attribute, const AttributeRows& rows,
    const CallOptions& call) const {
  if (absl::Status status = CheckAttributeRows(rows); !status.ok()) return status;
  auto request = RequestFor<v1::CreateAttributeVectorRequest>(model);
  request.set_attribute(attribute);
  *request.mutable_rows_with() = ToMatrix(rows.with, 0, rows.with.rows);
  *request.mutable_rows_without() = ToMatrix(rows.without, 0, rows.without.rows);
  *request.mutable_column_names() = {rows.with.column_names.begin(), rows.with.column_names.end()};
  for (const auto& [context, field] :
       {std::pair(&rows.context_with, &v1::CreateAttributeVectorRequest::mutable_context_with),
        std::pair(&rows.context_without,
                  &v1::CreateAttributeVectorRequest::mutable_context_without)}) {
    if (context->rows == 0) continue;
    *(request.*field)() = ToMatrix(*context, 0, context->rows);
    *request.mutable_context_column_names() = {context->column_names.begin(),
                                               context->column_names.end()};
  }
  return Unary(*density_, &v1::DensityService::Stub::CreateAttributeVector, request, options_,
               call);
}

absl::StatusOr<ManipulateResult> Client::Manipulate(const ModelRef& model, const Table& rows,
                                                    const ManipulateOptions& options,
                                                    const Table& context,
                                                    const CallOptions& call) const {
  auto request = RequestFor<v1::ManipulateRequest>(model);
  request.set_attribute(options.attribute);
  request.mutable_vector()->Assign(options.vector.begin(), options.vector.end());
  request.mutable_amounts()->Assign(options.amounts.begin(), options.amounts.end());
  const std::int64_t copies = std::ssize(options.amounts);
  ManipulateResult result;
  const auto version =
      InParts(*density_, &v1::DensityService::Stub::Manipulate, std::move(request), rows, context,
              RowsOf(RowsPerMessage(options_, rows, context), copies), options_, call,
              [&](const v1::ManipulateResponse& response, std::int64_t count) {
                SetNames(response.column_names(), result.rows);
                absl::Status status =
                    AppendRows("Manipulate", response.rows(), count * copies, result.rows);
                status.Update(Append("Manipulate", "log_prob", response.log_prob(), count * copies,
                                     result.log_prob));
                status.Update(Append("Manipulate", "out_of_support", response.out_of_support(),
                                     count * copies, result.out_of_support));
                return status;
              });
  if (!version.ok()) return version.status();
  result.version = *version;
  return result;
}

}  // namespace millrace::client
