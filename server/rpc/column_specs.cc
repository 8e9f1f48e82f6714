// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/column_specs.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

constexpr std::size_t kMaxColumnName = 256;

absl::Status CheckColumnName(const std::string& field, const std::string& name,
                             std::set<std::string>& seen) {
  const bool clean = std::none_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
  if (name.empty() || name.size() > kMaxColumnName || !clean) {
    return InvalidArgument(field, name.empty() ? "empty" : name,
                           "1 to 256 bytes without control characters");
  }
  if (!seen.insert(name).second)
    return InvalidArgument(field, name, "a name that no other column has");
  return absl::OkStatus();
}

absl::Status CheckFinite(const std::string& field, double value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return InvalidArgument(field, absl::StrCat(value), "a finite number");
}

absl::StatusOr<ColumnType> ReadColumnType(const std::string& field, v1::ColumnType type) {
  switch (type) {
    case v1::COLUMN_TYPE_UNSPECIFIED:
      return ColumnType::kAuto;
    case v1::COLUMN_TYPE_CONTINUOUS:
      return ColumnType::kContinuous;
    case v1::COLUMN_TYPE_DISCRETE:
      return ColumnType::kDiscrete;
    case v1::COLUMN_TYPE_CATEGORICAL:
      return ColumnType::kCategorical;
    case v1::COLUMN_TYPE_PIXEL:
      return ColumnType::kPixel;
    default:
      return InvalidArgument(
          field, v1::ColumnType_IsValid(type) ? v1::ColumnType_Name(type) : absl::StrCat(type),
          "CONTINUOUS, DISCRETE, CATEGORICAL, PIXEL or UNSPECIFIED");
  }
}

absl::StatusOr<ColumnRole> ReadColumnRole(const std::string& field, v1::ColumnRole role) {
  switch (role) {
    case v1::COLUMN_ROLE_UNSPECIFIED:
    case v1::COLUMN_ROLE_FEATURE:
      return ColumnRole::kFeature;
    case v1::COLUMN_ROLE_CONDITION:
      return ColumnRole::kCondition;
    default:
      return InvalidArgument(field, absl::StrCat(role), "FEATURE, CONDITION or UNSPECIFIED");
  }
}

// What a role allows of the other fields.
absl::Status CheckRole(const std::string& path, const v1::ColumnSpec& column, ColumnRole role) {
  const bool categorical = column.type() == v1::COLUMN_TYPE_CATEGORICAL;
  if (role == ColumnRole::kFeature) {
    if (!categorical) return absl::OkStatus();
    return InvalidArgument(absl::StrCat(path, ".type"), "COLUMN_TYPE_CATEGORICAL",
                           "another type, or the role CONDITION");
  }
  if (column.type() == v1::COLUMN_TYPE_DISCRETE || column.type() == v1::COLUMN_TYPE_PIXEL)
    return InvalidArgument(absl::StrCat(path, ".type"), v1::ColumnType_Name(column.type()),
                           "CONTINUOUS or CATEGORICAL for a condition");
  for (const auto& [field, set] : {std::pair{".lower_bound", column.has_lower_bound()},
                                   std::pair{".upper_bound", column.has_upper_bound()},
                                   std::pair{".bin_width", column.has_bin_width()}}) {
    if (set) return InvalidArgument(absl::StrCat(path, field), "set", "none on a condition");
  }
  return absl::OkStatus();
}

absl::StatusOr<ColumnSpec> ReadColumn(const std::string& path, const v1::ColumnSpec& column) {
  ColumnSpec spec;
  spec.name = column.name();
  MILLRACE_ASSIGN_OR_RETURN(spec.type, ReadColumnType(absl::StrCat(path, ".type"), column.type()));
  MILLRACE_ASSIGN_OR_RETURN(spec.role, ReadColumnRole(absl::StrCat(path, ".role"), column.role()));
  MILLRACE_RETURN_IF_ERROR(CheckRole(path, column, spec.role));
  if (column.has_lower_bound()) {
    MILLRACE_RETURN_IF_ERROR(CheckFinite(absl::StrCat(path, ".lower_bound"), column.lower_bound()));
    spec.lower = column.lower_bound();
  }
  if (column.has_upper_bound()) {
    MILLRACE_RETURN_IF_ERROR(CheckFinite(absl::StrCat(path, ".upper_bound"), column.upper_bound()));
    spec.upper = column.upper_bound();
  }
  if (spec.lower && spec.upper && *spec.lower >= *spec.upper) {
    return InvalidArgument(absl::StrCat(path, ".lower_bound"), absl::StrCat(*spec.lower),
                           absl::StrCat("less than upper_bound, ", *spec.upper));
  }
  if (column.has_bin_width()) {
    const std::string field = absl::StrCat(path, ".bin_width");
    MILLRACE_RETURN_IF_ERROR(CheckFinite(field, column.bin_width()));
    if (column.bin_width() <= 0.0 || spec.type == ColumnType::kContinuous ||
        spec.type == ColumnType::kPixel) {
      return InvalidArgument(field, absl::StrCat(column.bin_width()),
                             "a number above 0, and only for a DISCRETE column");
    }
    spec.bin_width = column.bin_width();
  }
  return spec;
}

}  // namespace

int CountOf(const std::vector<ColumnSpec>& columns, ColumnRole role) {
  return static_cast<int>(std::ranges::count(columns, role, &ColumnSpec::role));
}

absl::StatusOr<std::vector<ColumnSpec>> ReadColumnSpecs(const v1::TrainSpec& spec,
                                                        const Limits& limits) {
  if (spec.columns_size() > limits.max_columns) {
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        {.field = "columns",
         .value = absl::StrCat(spec.columns_size()),
         .expected = absl::StrCat("at most ", limits.max_columns, " columns (--max_columns)")});
  }
  std::vector<ColumnSpec> columns;
  std::set<std::string> seen;
  for (int i = 0; i < spec.columns_size(); ++i) {
    const std::string path = absl::StrCat("columns[", i, "]");
    MILLRACE_RETURN_IF_ERROR(
        CheckColumnName(absl::StrCat(path, ".name"), spec.columns(i).name(), seen));
    MILLRACE_ASSIGN_OR_RETURN(ColumnSpec column, ReadColumn(path, spec.columns(i)));
    columns.push_back(std::move(column));
  }
  if (!columns.empty() && CountOf(columns, ColumnRole::kFeature) == 0)
    return InvalidArgument("columns", absl::StrCat("all ", columns.size(), " are conditions"),
                           "a column with the role FEATURE");
  return columns;
}

}  // namespace millrace
