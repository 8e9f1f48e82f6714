// SPDX-License-Identifier: Apache-2.0
// The questions that one message can ask and answer, one pair of functions each:
//   CheckQuery  what can be refused without looking at the numbers; cheap enough for a gRPC thread.
//               Returns the size of the work; RESOURCE_EXHAUSTED beyond the limits of one request.
//   Answer      the work: numbers in, numbers out. The reply's model and version are set
//               by the caller. CANCELLED once `stop` is requested.
// Errors as the proto states them. No gRPC here.
//
// LogProb is, and Score can be, answered in three parts, so that what many requests ask of one
// model is computed in one pass: Prepare, Density::LogProbMany over their jobs, Complete. Request
// and response outlive them all.
#ifndef MILLRACE_SERVER_RPC_DENSITY_QUERIES_H_
#define MILLRACE_SERVER_RPC_DENSITY_QUERIES_H_

#include <cstdint>
#include <optional>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/score/density.h"
#include "millrace/v1/density_messages.pb.h"
#include "server/app/config.h"
#include "server/app/model_repository.h"
#include "server/rpc/query_parts.h"

namespace millrace {

struct LogProbQuery {
  QueryInput input;
  std::optional<AnomalyRule> rule = std::nullopt;  // of a Score
  LogProbJob job = {};                             // its results go into the response
};

absl::StatusOr<LogProbQuery> Prepare(const v1::LogProbRequest& request, const ServedModel& served,
                                     const std::stop_token& stop, v1::LogProbResponse* response);
absl::StatusOr<LogProbQuery> Prepare(const v1::ScoreRequest& request, const ServedModel& served,
                                     const std::stop_token& stop, v1::ScoreResponse* response);
// `computed` is the status of the query's job. Contributions, where a Score asks for them, are
// computed here.
absl::Status Complete(const v1::LogProbRequest& request, const ServedModel& served,
                      const LogProbQuery& query, absl::Status computed,
                      v1::LogProbResponse* response);
absl::Status Complete(const v1::ScoreRequest& request, const ServedModel& served,
                      const LogProbQuery& query, absl::Status computed,
                      v1::ScoreResponse* response);

absl::StatusOr<QuerySize> CheckQuery(const v1::LogProbRequest& request, const ServedModel& served,
                                     const Limits& limits);

absl::StatusOr<QuerySize> CheckQuery(const v1::ScoreRequest& request, const ServedModel& served,
                                     const Limits& limits);
absl::Status Answer(const v1::ScoreRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::ScoreResponse* response);

absl::StatusOr<QuerySize> CheckQuery(const v1::InterpolateRequest& request,
                                     const ServedModel& served, const Limits& limits);
absl::Status Answer(const v1::InterpolateRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::InterpolateResponse* response);

absl::StatusOr<QuerySize> CheckQuery(const v1::EncodeRequest& request, const ServedModel& served,
                                     const Limits& limits);
absl::Status Answer(const v1::EncodeRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::EncodeResponse* response);

absl::StatusOr<QuerySize> CheckQuery(const v1::DecodeRequest& request, const ServedModel& served,
                                     const Limits& limits);
absl::Status Answer(const v1::DecodeRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::DecodeResponse* response);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_DENSITY_QUERIES_H_
