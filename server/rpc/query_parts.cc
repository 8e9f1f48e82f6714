// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/query_parts.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/score/density.h"

namespace millrace {

absl::StatusOr<QuerySize> SizeOf(std::int64_t rows, std::int64_t evaluations_a_row,
                                 absl::string_view field, const Limits& limits) {
  const std::int64_t most = limits.max_request_evaluations / evaluations_a_row;
  if (rows <= most) return QuerySize{.rows = rows, .evaluations = rows * evaluations_a_row};
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      {.field = std::string(field),
       .value = absl::StrCat(rows),
       .expected = absl::StrCat("at most ", most, ", since each takes ", evaluations_a_row,
                                " evaluations (--max_request_evaluations)")});
}

std::int64_t EvaluationsOfRow(const ServedModel& served) {
  return served.density->model().columns.num_offsets();
}

}  // namespace millrace
