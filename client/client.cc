// SPDX-License-Identifier: Apache-2.0
#include "client/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call.h"
#include "client/channel.h"
#include "client/parts.h"
#include "client/status.h"
#include "client/wire.h"

namespace millrace::client {
namespace {

// Quadrature evaluates the flow some hundred times for each element of a conditional request, so
// fewer go into one.
constexpr std::int64_t kConditionalRows = 256;
constexpr std::int64_t kConditionalElements = 16384;

template <typename Request>
Request RequestFor(const ModelRef& model) {
  Request request;
  request.set_name(model.name);
  request.set_version(model.version);
  return request;
}

template <typename Names>
void SetNames(const Names& names, Table& table) {
  if (names.size() > 0) table.column_names.assign(names.begin(), names.end());
}

absl::Status AppendRows(const char* method, const v1::Matrix& matrix, std::int64_t count,
                        Table& out) {
  absl::StatusOr<Table> part = FromMatrix(matrix);
  if (!part.ok()) return part.status();
  if (part->rows != count) return Malformed(method, "a matrix", part->rows, count);
  if (out.rows > 0 && part->cols != out.cols) {
    return absl::InternalError(absl::StrCat("the server's replies to ", method, " have ", out.cols,
                                            " columns, then ", part->cols));
  }
  out.cols = part->cols;
  out.rows += part->rows;
  out.values.insert(out.values.end(), part->values.begin(), part->values.end());
  return absl::OkStatus();
}

void SetRows(const Table& table, std::int64_t begin, std::int64_t count,
             v1::DecodeRequest& request) {
  *request.mutable_latents() = ToMatrix(table, begin, count);
}

template <typename Request>
void SetRows(const Table& table, std::int64_t begin, std::int64_t count, Request& request) {
  *request.mutable_rows() = ToMatrix(table, begin, count);
  *request.mutable_column_names() = {table.column_names.begin(), table.column_names.end()};
}

// Sends `table` with its context in parts of at most `part_rows` rows, from where the server finds
// one too large of half as many, and hands each reply to `absorb` with its number of rows. The
// first reply's version is asked of the others. Returns it.
template <typename Request, typename Response, typename Absorb>
absl::StatusOr<std::uint64_t> InParts(v1::DensityService::Stub& stub,
                                      grpc::Status (v1::DensityService::Stub::*method)(
                                          grpc::ClientContext*, const Request&, Response*),
                                      Request request, const Table& table, const Table& context,
                                      std::int64_t part_rows, const ClientOptions& options,
                                      const CallOptions& call, Absorb absorb) {
  if (absl::Status status = CheckTable(table); !status.ok()) return status;
  if (absl::Status status = CheckContext(context, table.rows); !status.ok()) return status;
  for (std::int64_t begin = 0; begin < table.rows;) {
    const std::int64_t count = std::min(part_rows, table.rows - begin);
    SetRows(table, begin, count, request);
    SetPartOfContext(context, begin, count, request);
    const absl::StatusOr<Response> response = Unary(stub, method, request, options, call);
    if (count > 1 && MayBeTooManyRows(response.status())) {
      part_rows = count / 2;
      continue;
    }
    if (!response.ok()) return CountRowsFrom(begin, response.status());
    request.set_version(response->version());
    if (absl::Status status = absorb(*response, count); !status.ok()) return status;
    begin += count;
  }
  return request.version();
}

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
