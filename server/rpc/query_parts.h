// SPDX-License-Identifier: Apache-2.0
// What the functions of queries share: density_queries and latent_queries.
#ifndef MILLRACE_SERVER_RPC_QUERY_PARTS_H_
#define MILLRACE_SERVER_RPC_QUERY_PARTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"
#include "server/app/config.h"
#include "server/app/model_repository.h"
#include "server/rpc/query_rows.h"

namespace millrace {

struct QuerySize {
  std::int64_t rows = 0;         // of the answer
  std::int64_t evaluations = 0;  // of the flow, each for one row
  bool writes = false;           // to the disk, which nothing on a gRPC thread may wait for
};

// The size of a query; `rows` is the number in `field`. RESOURCE_EXHAUSTED beyond
// limits.max_request_evaluations.
absl::StatusOr<QuerySize> SizeOf(std::int64_t rows, std::int64_t evaluations_a_row,
                                 absl::string_view field, const Limits& limits);

// Evaluations of the flow that the log-density of a row takes.
std::int64_t EvaluationsOfRow(const ServedModel& served);

// What a request gives.
struct QueryInput {
  RequestRows rows;
  RequestRows context;
};

template <typename Request>
absl::Status CheckInput(const Request& request, std::int64_t contexts, const ServedModel& served,
                        const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(CheckRows(request.rows(), request.column_names(), served, limits));
  return CheckContext(request, contexts, served, limits);
}

template <typename Request>
absl::StatusOr<QueryInput> ReadInput(const Request& request, const ServedModel& served) {
  QueryInput input;
  MILLRACE_ASSIGN_OR_RETURN(input.rows, ReadRows(request.rows(), request.column_names(), served));
  MILLRACE_ASSIGN_OR_RETURN(input.context, ReadContext(request, served));
  return input;
}

template <typename Response>
void WriteColumnNames(const ServedModel& served, Response* response) {
  for (const Column& column : served.density->model().columns.columns())
    response->add_column_names(column.name);
}

template <typename From, typename To>
void CopyInto(const From& from, To* to) {
  to->Assign(from.begin(), from.end());
}

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_QUERY_PARTS_H_
