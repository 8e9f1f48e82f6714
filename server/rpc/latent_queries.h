// SPDX-License-Identifier: Apache-2.0
// Completion and attribute vectors: pairs of functions as in server/rpc/density_queries.h.
#ifndef MILLRACE_SERVER_RPC_LATENT_QUERIES_H_
#define MILLRACE_SERVER_RPC_LATENT_QUERIES_H_

#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model.h"
#include "millrace/v1/latent_messages.pb.h"
#include "server/app/config.h"
#include "server/app/model_repository.h"
#include "server/rpc/query_parts.h"

namespace millrace {

absl::StatusOr<QuerySize> CheckQuery(const v1::CompleteRequest& request, const ServedModel& served,
                                     const Limits& limits);
absl::Status Answer(const v1::CompleteRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::CompleteResponse* response);

absl::StatusOr<QuerySize> CheckQuery(const v1::ManipulateRequest& request,
                                     const ServedModel& served, const Limits& limits);
absl::Status Answer(const v1::ManipulateRequest& request, const ServedModel& served,
                    const std::stop_token& stop, v1::ManipulateResponse* response);

absl::StatusOr<QuerySize> CheckQuery(const v1::CreateAttributeVectorRequest& request,
                                     const ServedModel& served, const Limits& limits);
// Publishes what it computes and sets the reply's version itself; ABORTED where `served` is not the
// latest.
absl::Status Answer(const v1::CreateAttributeVectorRequest& request, const ServedModel& served,
                    ModelRepository& repository, const std::stop_token& stop,
                    v1::CreateAttributeVectorResponse* response);

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_LATENT_QUERIES_H_
