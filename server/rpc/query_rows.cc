// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/query_rows.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/score/density.h"

namespace millrace {
namespace {

// Without names the width must be the model's, else one name must stand for each column.
absl::Status CheckWidth(const v1::Matrix& matrix, absl::string_view field, const ColumnNames& names,
                        absl::string_view names_field, int columns, const ServedModel& served) {
  if (names.empty()) {
    if (matrix.cols() == static_cast<std::uint32_t>(columns)) return absl::OkStatus();
    return InvalidArgument(absl::StrCat(field, ".cols"), absl::StrCat(matrix.cols()),
                           absl::StrCat(columns, " columns, as model ", served.name, " has"));
  }
  if (static_cast<std::uint32_t>(names.size()) == matrix.cols()) return absl::OkStatus();
  return InvalidArgument(
      names_field, absl::StrCat(names.size(), " names"),
      absl::StrCat("one name for each of the ", matrix.cols(), " columns of ", field));
}

std::vector<std::string> ListOf(const ColumnNames& names) { return {names.begin(), names.end()}; }

}  // namespace

absl::Status CheckRows(const v1::Matrix& rows, const ColumnNames& names, const ServedModel& served,
                       const Limits& limits) {
  MILLRACE_RETURN_IF_ERROR(
      CheckMatrix(rows, "rows", limits.max_request_rows, "max_request_rows", limits));
  return CheckWidth(rows, "rows", names, "column_names",
                    served.density->model().columns.num_columns(), served);
}

RequestRows::RequestRows(NumberRows view, std::vector<int> order)
    : order_(std::move(order)), view_(view) {
  if (!std::ranges::is_sorted(order_))
    view_.order = order_;  // sorted, a permutation changes nothing
}

absl::StatusOr<RequestRows> ReadRows(const v1::Matrix& matrix, const ColumnNames& names,
                                     const ServedModel& served) {
  if (names.empty()) return RequestRows(ViewOf(matrix), {});
  absl::StatusOr<std::vector<int>> order =
      served.density->model().columns.MatchColumns(ListOf(names));
  if (!order.ok()) return WithDefaultField(std::move(order).status(), "column_names");
  return RequestRows(ViewOf(matrix), *std::move(order));
}

absl::Status CheckContext(bool given, const v1::Matrix& context, const ColumnNames& names,
                          std::int64_t rows, const ServedModel& served, const Limits& limits) {
  const ContextModel& model = served.density->model().context;
  if (!given) {
    if (!names.empty())
      return InvalidArgument("context_column_names", absl::StrCat(names.size(), " names"),
                             "none without a context");
    return model.Check({}, rows);
  }
  if (model.num_columns() == 0)
    return InvalidArgument("context", absl::StrCat(context.rows(), " rows"),
                           absl::StrCat("none: model ", served.name, " has no conditions"));
  MILLRACE_RETURN_IF_ERROR(
      CheckMatrix(context, "context", limits.max_request_rows, "max_request_rows", limits));
  if (context.rows() != 1 && context.rows() != rows)
    return InvalidArgument(
        "context.rows", absl::StrCat(context.rows()),
        rows == 1 ? "1" : absl::StrCat(rows, ", one for each row, or 1 for all"));
  return CheckWidth(context, "context", names, "context_column_names", model.num_columns(), served);
}

absl::StatusOr<RequestRows> ReadContext(const v1::Matrix& context, const ColumnNames& names,
                                        const ServedModel& served) {
  const ContextModel& model = served.density->model().context;
  if (model.num_columns() == 0) return RequestRows();
  if (names.empty()) return RequestRows(ViewOf(context), {});
  MILLRACE_ASSIGN_OR_RETURN(std::vector<int> order, model.MatchColumns(ListOf(names)));
  return RequestRows(ViewOf(context), std::move(order));
}

}  // namespace millrace
