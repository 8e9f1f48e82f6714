// SPDX-License-Identifier: Apache-2.0
// What a query gives of rows and of the conditions they lie under. Errors as
// proto/millrace/v1/density_messages.proto states them.
#ifndef MILLRACE_SERVER_RPC_QUERY_ROWS_H_
#define MILLRACE_SERVER_RPC_QUERY_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/number_rows.h"
#include "millrace/v1/density_messages.pb.h"
#include "server/app/config.h"
#include "server/app/model_repository.h"
#include "server/rpc/matrix.h"
#include "server/rpc/status.h"

namespace millrace {

using ColumnNames = google::protobuf::RepeatedPtrField<std::string>;

// Shape, limits and width of rows, without a look at the numbers.
absl::Status CheckRows(const v1::Matrix& rows, const ColumnNames& names, const ServedModel& served,
                       const Limits& limits);

// Rows where they stand in a request, which outlives them; their columns are in the model's order.
class RequestRows {
 public:
  RequestRows() = default;  // none
  // `order` as NumberRows has it.
  RequestRows(NumberRows view, std::vector<int> order);
  RequestRows(RequestRows&&) = default;
  RequestRows& operator=(RequestRows&&) = default;

  const NumberRows& view() const { return view_; }

 private:
  std::vector<int> order_;  // where it stands does not change when it is moved
  NumberRows view_;
};

// The rows, which passed CheckRows. Numbers are the core's to check.
absl::StatusOr<RequestRows> ReadRows(const v1::Matrix& matrix, const ColumnNames& names,
                                     const ServedModel& served);

// The same for the context of a request. CheckContext takes one row for each of `rows`, or one for
// all. Both take no context, and give no rows, where the model has no conditions. Numbers and
// categories are the core's to check.
absl::Status CheckContext(bool given, const v1::Matrix& context, const ColumnNames& names,
                          std::int64_t rows, const ServedModel& served, const Limits& limits);
absl::StatusOr<RequestRows> ReadContext(const v1::Matrix& context, const ColumnNames& names,
                                        const ServedModel& served);

template <typename Request>
absl::Status CheckContext(const Request& request, std::int64_t rows, const ServedModel& served,
                          const Limits& limits) {
  return CheckContext(request.has_context(), request.context(), request.context_column_names(),
                      rows, served, limits);
}
template <typename Request>
absl::StatusOr<RequestRows> ReadContext(const Request& request, const ServedModel& served) {
  return ReadContext(request.context(), request.context_column_names(), served);
}

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_QUERY_ROWS_H_
