// SPDX-License-Identifier: Apache-2.0
#include "client/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/channel.h"
#include "client/parts.h"
#include "client/requests.h"

namespace millrace::client {
namespace {

// Quadrature evaluates the flow some hundred times for each element of a conditional request, so
// fewer go into one.
constexpr std::int64_t kConditionalRows = 256;
constexpr std::int64_t kConditionalElements = 16384;

absl::Status AbsorbScores(const v1::ScoreResponse& response, std::int64_t count, bool contributions,
                          ScoreResult& result) {
  result.false_positive_rate = response.false_positive_rate();
  result.threshold = response.threshold();
  absl::Status status = Append("Score", "log_prob", response.log_prob(), count, result.log_prob);
  status.Update(Append("Score", "tail_probability", response.tail_probability(), count,
                       result.tail_probability));
  status.Update(Append("Score", "is_anomaly", response.is_anomaly(), count, result.is_anomaly));
  status.Update(
      Append("Score", "out_of_support", response.out_of_support(), count, result.out_of_support));
  if (!contributions) return status;
  SetNames(response.contribution_column_names(), result.contributions);
  status.Update(AppendRows("Score", response.contributions(), count, result.contributions));
  return status;
}

}  // namespace

Client::Client(ClientOptions options) : options_(std::move(options)) {
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(options_);
  density_ = v1::DensityService::NewStub(channel);
  models_ = v1::ModelService::NewStub(channel);
}

absl::StatusOr<LogProbResult> Client::LogProb(const ModelRef& model, const Table& rows,
                                              const Table& context, const CallOptions& call) const {
  LogProbResult result;
  const auto version =
      InParts(*density_, &v1::DensityService::Stub::LogProb, RequestFor<v1::LogProbRequest>(model),
              rows, context, RowsPerMessage(options_, rows, context), options_, call,
              [&result](const v1::LogProbResponse& response, std::int64_t count) {
                absl::Status status =
                    Append("LogProb", "log_prob", response.log_prob(), count, result.log_prob);
                status.Update(Append("LogProb", "out_of_support", response.out_of_support(), count,
                                     result.out_of_support));
                return status;
              });
  if (!version.ok()) return version.status();
  result.version = *version;
  return result;
}

absl::StatusOr<ScoreResult> Client::Score(const ModelRef& model, const Table& rows,
                                          const ScoreOptions& options, const Table& context,
                                          const CallOptions& call) const {
  auto request = RequestFor<v1::ScoreRequest>(model);
  if (options.false_positive_rate) request.set_false_positive_rate(*options.false_positive_rate);
  request.set_contributions(options.contributions);
  std::int64_t part_rows = RowsPerMessage(options_, rows, context);
  if (options.contributions == v1::CONTRIBUTIONS_CONDITIONAL) {
    part_rows =
        std::min(part_rows, std::clamp<std::int64_t>(kConditionalElements / std::max(rows.cols, 1),
                                                     1, kConditionalRows));
  }
  const bool contributions = options.contributions == v1::CONTRIBUTIONS_CONDITIONAL ||
                             options.contributions == v1::CONTRIBUTIONS_CHAIN;
  ScoreResult result;
  const auto version = InParts(*density_, &v1::DensityService::Stub::Score, std::move(request),
                               rows, context, part_rows, options_, call,
                               [&](const v1::ScoreResponse& response, std::int64_t count) {
                                 return AbsorbScores(response, count, contributions, result);
                               });
  if (!version.ok()) return version.status();
  result.version = *version;
  return result;
}

absl::StatusOr<TransformResult> Client::Encode(const ModelRef& model, const Table& rows,
                                               const Table& context,
                                               const CallOptions& call) const {
  TransformResult result;
  const auto version =
      InParts(*density_, &v1::DensityService::Stub::Encode, RequestFor<v1::EncodeRequest>(model),
              rows, context, RowsPerMessage(options_, rows, context), options_, call,
              [&result](const v1::EncodeResponse& response, std::int64_t count) {
                return AppendRows("Encode", response.latents(), count, result.rows);
              });
  if (!version.ok()) return version.status();
  result.version = *version;
  return result;
}

absl::StatusOr<TransformResult> Client::Decode(const ModelRef& model, const Table& latents,
                                               const Table& context,
                                               const CallOptions& call) const {
  TransformResult result;
  const auto version =
      InParts(*density_, &v1::DensityService::Stub::Decode, RequestFor<v1::DecodeRequest>(model),
              latents, context, RowsPerMessage(options_, latents, context), options_, call,
              [&result](const v1::DecodeResponse& response, std::int64_t count) {
                SetNames(response.column_names(), result.rows);
                return AppendRows("Decode", response.rows(), count, result.rows);
              });
  if (!version.ok()) return version.status();
  result.version = *version;
  return result;
}

absl::StatusOr<InterpolateResult> Client::Interpolate(const ModelRef& model, const Table& ends,
                                                      const InterpolateOptions& options,
                                                      const Table& context,
                                                      const CallOptions& call) const {
  if (absl::Status status = CheckTable(ends); !status.ok()) return status;
  if (absl::Status status = CheckContext(context, 1); !status.ok()) return status;
  auto request = RequestFor<v1::InterpolateRequest>(model);
  SetRows(ends, 0, ends.rows, request);
  SetPartOfContext(context, 0, 1, request);
  request.set_steps(static_cast<std::uint32_t>(std::max(options.steps, 0)));
  request.set_method(options.method);
  const auto response =
      Unary(*density_, &v1::DensityService::Stub::Interpolate, request, options_, call);
  if (!response.ok()) return response.status();
  InterpolateResult result;
  result.version = response->version();
  SetNames(response->column_names(), result.path);
  absl::Status status = AppendRows("Interpolate", response->path(), options.steps, result.path);
  status.Update(
      Append("Interpolate", "log_prob", response->log_prob(), options.steps, result.log_prob));
  if (!status.ok()) return status;
  return result;
}

}  // namespace millrace::client
