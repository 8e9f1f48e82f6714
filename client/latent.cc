// SPDX-License-Identifier: Apache-2.0
// Client::Complete, CreateAttributeVector and Manipulate.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "client/requests.h"
#include "client/status.h"

namespace millrace::client {
namespace {

// A completion takes thousands of evaluations, so fewer go into a request, and of images very few.
constexpr std::int64_t kCompletions = 1024;
constexpr std::int64_t kCompletedNumbers = 4096;

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

absl::Status UnlikeWidths(std::int64_t one, std::int64_t other) {
  return absl::InternalError(
      absl::StrCat("the server's replies to Encode have ", one, " columns, then ", other));
}

// Adds the share of `count` of `total` rows in the mean of latent points.
absl::Status AddToMean(const v1::EncodeResponse& response, std::int64_t count, std::int64_t total,
                       std::vector<double>& mean) {
  Table latents;
  if (absl::Status status = AppendRows("Encode", response.latents(), count, latents); !status.ok())
    return status;
  if (mean.empty()) mean.resize(static_cast<std::size_t>(latents.cols));
  if (std::ssize(mean) != latents.cols) return UnlikeWidths(std::ssize(mean), latents.cols);
  for (std::int64_t r = 0; r < count; ++r)
    for (int c = 0; c < latents.cols; ++c)
      mean[static_cast<std::size_t>(c)] += latents(r, c) / static_cast<double>(total);
  return absl::OkStatus();
}

// The mean latent point of any number of rows. Sets the version to the one that answered.
absl::StatusOr<std::vector<double>> MeanLatent(v1::DensityService::Stub& stub, ModelRef& model,
                                               const Table& rows, const Table& context,
                                               const ClientOptions& options,
                                               const CallOptions& call) {
  std::vector<double> mean;
  const auto version =
      InParts(stub, &v1::DensityService::Stub::Encode, RequestFor<v1::EncodeRequest>(model), rows,
              context, RowsPerMessage(options, rows, context), options, call,
              [&](const v1::EncodeResponse& response, std::int64_t count) {
                return AddToMean(response, count, rows.rows, mean);
              });
  if (!version.ok()) return version.status();
  model.version = *version;
  return mean;
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
  const std::int64_t most = std::min({RowsPerMessage(options_, rows, context), kCompletions,
                                      kCompletedNumbers / std::max(rows.cols, 1)});
  CompleteResult result;
  const auto version =
      InParts(*density_, &v1::DensityService::Stub::Complete, std::move(request), rows, context,
              RowsOf(most, copies), options_, call,
              [&](const v1::CompleteResponse& response, std::int64_t count) {
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
  ModelRef used = model;
  const auto with = MeanLatent(*density_, used, rows.with, rows.context_with, options_, call);
  if (!with.ok()) return NamePart(with.status(), "with");
  const auto without =
      MeanLatent(*density_, used, rows.without, rows.context_without, options_, call);
  if (!without.ok()) return NamePart(without.status(), "without");
  if (with->size() != without->size()) return UnlikeWidths(std::ssize(*with), std::ssize(*without));
  auto request = RequestFor<v1::CreateAttributeVectorRequest>(used);
  request.set_attribute(attribute);
  for (std::size_t i = 0; i < with->size(); ++i) request.add_vector((*with)[i] - (*without)[i]);
  request.set_vector_rows_with(static_cast<std::uint64_t>(rows.with.rows));
  request.set_vector_rows_without(static_cast<std::uint64_t>(rows.without.rows));
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
