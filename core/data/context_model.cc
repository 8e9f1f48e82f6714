// SPDX-License-Identifier: Apache-2.0
#include "core/data/context_model.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "core/data/column_names.h"

namespace millrace {
namespace {

// As those of columns with a density (core/data/column_fit.h).
constexpr double kLargestMagnitude = 1e150;
constexpr double kSmallestDeviation = 1e-150;
constexpr std::size_t kMostListed = 10;  // in an error

absl::Status ValueError(absl::string_view field, std::int64_t row, int column, double value,
                        std::string expected) {
  return MakeError(absl::StatusCode::kInvalidArgument, {.field = std::string(field),
                                                        .row = row,
                                                        .column = column,
                                                        .value = absl::StrCat(value),
                                                        .expected = std::move(expected)});
}

absl::Status CheckSpec(const ColumnSpec& spec, int index) {
  const auto wrong = [index](absl::string_view field, absl::string_view value,
                             absl::string_view expected) {
    return InvalidArgument(absl::StrCat("columns[", index, "].", field), value, expected);
  };
  for (const auto& [type, word] :
       {std::pair{ColumnType::kDiscrete, "discrete"}, std::pair{ColumnType::kConstant, "constant"},
        std::pair{ColumnType::kPixel, "pixel"}})
    if (spec.type == type) return wrong("type", word, "continuous or categorical for a condition");
  constexpr absl::string_view kNone = "none on a condition";
  if (spec.lower) return wrong("lower", absl::StrCat(*spec.lower), kNone);
  if (spec.upper) return wrong("upper", absl::StrCat(*spec.upper), kNone);
  if (spec.bin_width) return wrong("bin_width", absl::StrCat(*spec.bin_width), kNone);
  return absl::OkStatus();
}

absl::Status CheckValues(RowsView<const double> rows, int c) {
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    if (!(std::abs(rows(r, c)) <= kLargestMagnitude))
      return ValueError("rows", r, c, rows(r, c), "a finite number of magnitude at most 1e150");
  }
  return absl::OkStatus();
}

absl::Status FitCategories(RowsView<const double> rows, int c, Condition& condition) {
  std::set<double> distinct;
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    distinct.insert(rows(r, c));
    if (distinct.size() > ContextModel::kMaxCategories)
      return ValueError("rows", r, c, rows(r, c),
                        absl::StrCat("at most ", ContextModel::kMaxCategories, " categories of '",
                                     PrintableValue(condition.name), "'"));
  }
  condition.categories.assign(distinct.begin(), distinct.end());
  return absl::OkStatus();
}

absl::Status FitNumber(RowsView<const double> rows, int c, Condition& condition) {
  const auto n = static_cast<double>(rows.rows);
  bool varies = false;
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    condition.mean += rows(r, c) / n;
    varies = varies || rows(r, c) != rows(0, c);
  }
  if (!varies) {
    condition.mean = rows(0, c);
    return absl::OkStatus();
  }
  double squares = 0.0;
  for (std::int64_t r = 0; r < rows.rows; ++r)
    squares += (rows(r, c) - condition.mean) * (rows(r, c) - condition.mean) / n;
  condition.deviation = std::sqrt(squares);
  if (condition.deviation >= kSmallestDeviation) return absl::OkStatus();
  return InvalidArgument(absl::StrCat("columns[", c, "]"),
                         absl::StrCat("a deviation of ", condition.deviation),
                         "a deviation of at least 1e-150; change the unit");
}

absl::Status CheckCondition(const Condition& c, std::size_t index) {
  const auto wrong = [index](absl::string_view field, double value, absl::string_view expected) {
    return InvalidArgument(absl::StrCat("conditions[", index, "].", field), absl::StrCat(value),
                           expected);
  };
  if (!(std::abs(c.mean) <= kLargestMagnitude)) return wrong("mean", c.mean, "a finite number");
  const bool varies = c.deviation >= kSmallestDeviation && c.deviation <= 2.0 * kLargestMagnitude;
  if (c.deviation != 0.0 && !varies)
    return wrong("deviation", c.deviation, "0 or a finite number above");
  if (c.categories.size() > ContextModel::kMaxCategories)
    return wrong("categories", static_cast<double>(c.categories.size()), "at most 1000");
  for (std::size_t k = 0; k < c.categories.size(); ++k) {
    const double value = c.categories[k];
    if (!std::isfinite(value) || (k > 0 && !(value > c.categories[k - 1])))
      return wrong(absl::StrCat("categories[", k, "]"), value, "finite numbers that ascend");
  }
  return absl::OkStatus();
}

// The index of `value` among the categories, also where it was rounded to single precision on its
// way.
std::optional<std::size_t> CategoryOf(const Condition& condition, double value) {
  const std::vector<double>& categories = condition.categories;
  const auto found = std::lower_bound(categories.begin(), categories.end(), value);
  const auto index = static_cast<std::size_t>(found - categories.begin());
  if (found != categories.end() && *found == value) return index;
  for (const std::size_t k : {index, index - 1}) {
    if (k < categories.size() && value == static_cast<double>(static_cast<float>(categories[k])))
      return k;
  }
  return std::nullopt;
}

bool Takes(const Condition& condition, double value) {
  return std::isfinite(value) && (!condition.is_categorical() || CategoryOf(condition, value));
}

// "'a', 'b', ...": some of them.
template <typename Items, typename Text>
std::string Listed(const Items& items, const Text& text) {
  std::string list;
  for (std::size_t i = 0; i < std::min(items.size(), kMostListed); ++i)
    absl::StrAppend(&list, i == 0 ? "" : ", ", text(items[i]));
  return items.size() > kMostListed ? list + ", ..." : list;
}

std::string NamesOf(std::span<const Condition> conditions) {
  return Listed(conditions,
                [](const Condition& c) { return absl::StrCat("'", PrintableValue(c.name), "'"); });
}

}  // namespace

absl::StatusOr<ContextModel> ContextModel::Fit(std::span<const ColumnSpec> specs,
                                               RowsView<const double> rows,
                                               const ColumnModel& features) {
  std::vector<Condition> conditions;
  for (int c = 0; c < static_cast<int>(specs.size()); ++c) {
    const ColumnSpec& spec = specs[c];
    if (spec.role != ColumnRole::kCondition) continue;
    MILLRACE_RETURN_IF_ERROR(CheckSpec(spec, c));
    MILLRACE_RETURN_IF_ERROR(CheckValues(rows, c));
    Condition condition{.name = spec.name, .position = c};
    MILLRACE_RETURN_IF_ERROR(spec.type == ColumnType::kCategorical
                                 ? FitCategories(rows, c, condition)
                                 : FitNumber(rows, c, condition));
    conditions.push_back(std::move(condition));
  }
  return FromConditions(std::move(conditions), features);
}

absl::StatusOr<ContextModel> ContextModel::FromConditions(std::vector<Condition> conditions,
                                                          const ColumnModel& features) {
  std::unordered_set<std::string> names;
  for (const Column& column : features.columns()) names.insert(column.name);
  const int total = features.num_columns() + static_cast<int>(conditions.size());
  ContextModel model;
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    const Condition& c = conditions[i];
    MILLRACE_RETURN_IF_ERROR(CheckCondition(c, i));
    if (c.name.empty() || !names.insert(c.name).second)
      return InvalidArgument(absl::StrCat("conditions[", i, "].name"), c.name,
                             "a name that no other column has");
    if (c.position < (i == 0 ? 0 : conditions[i - 1].position + 1) || c.position >= total)
      return InvalidArgument(absl::StrCat("conditions[", i, "].position"), absl::StrCat(c.position),
                             "columns of the table in order");
    model.dim_ += c.is_categorical() ? static_cast<int>(c.categories.size()) : 1;
  }
  model.conditions_ = std::move(conditions);
  return model;
}

absl::StatusOr<std::vector<int>> ContextModel::MatchColumns(
    std::span<const std::string> names) const {
  std::vector<std::string> own;
  for (const Condition& condition : conditions_) own.push_back(condition.name);
  return MatchNames(own, names, "context_column_names");
}

absl::Status ContextModel::Check(const NumberRows& context, std::int64_t rows) const {
  MILLRACE_RETURN_IF_ERROR(CheckShape(context, rows));
  for (std::int64_t r = 0; r < context.rows; ++r) MILLRACE_RETURN_IF_ERROR(CheckRow(context, r));
  return absl::OkStatus();
}

absl::Status ContextModel::CheckShape(const NumberRows& context, std::int64_t rows) const {
  const auto shape = [&](absl::string_view value, absl::string_view expected) {
    return InvalidArgument("context", value, expected);
  };
  if (conditions_.empty()) {
    if (context.rows == 0) return absl::OkStatus();
    return shape(absl::StrCat(context.rows, " rows"), "none: the model has no conditions");
  }
  const auto width = [&] {
    return absl::StrCat(num_columns(), " columns, the model's conditions: ", NamesOf(conditions_));
  };
  if (context.rows == 0) return shape("nothing", width());
  if (context.cols != num_columns()) return shape(absl::StrCat(context.cols, " columns"), width());
  if (context.rows != 1 && context.rows != rows)
    return shape(absl::StrCat(context.rows, " rows"),
                 absl::StrCat(rows, " rows, one for each, or 1 for all"));
  return absl::OkStatus();
}

absl::Status ContextModel::CheckRow(const NumberRows& context, std::int64_t r) const {
  std::optional<int> bad;  // the first, as it stands in the row
  for (int c = 0; c < context.cols; ++c) {
    if (!Takes(conditions_[c], context(r, c)) &&
        (!bad || context.PlaceOf(c) < context.PlaceOf(*bad)))
      bad = c;
  }
  if (!bad) return absl::OkStatus();
  const Condition& condition = conditions_[*bad];
  const double value = context(r, *bad);
  const std::string name = absl::StrCat("'", PrintableValue(condition.name), "'");
  return ValueError("context", r, context.PlaceOf(*bad), value,
                    !std::isfinite(value)
                        ? absl::StrCat("a finite number in column ", name)
                        : absl::StrCat("a category of ", name, ": ",
                                       Listed(condition.categories, [](double category) {
                                         return absl::StrCat(category);
                                       })));
}

bool ContextModel::RowToModel(const NumberRows& context, std::int64_t r,
                              std::span<float> out) const {
  std::ranges::fill(out, 0.0f);
  std::size_t next = 0;
  for (int c = 0; c < num_columns(); ++c) {
    const Condition& condition = conditions_[c];
    const double value = context(r, c);
    if (!std::isfinite(value)) return false;
    if (condition.is_categorical()) {
      const std::optional<std::size_t> category = CategoryOf(condition, value);
      if (!category) return false;
      out[next + *category] = 1.0f;
      next += condition.categories.size();
      continue;
    }
    if (condition.deviation > 0.0)
      out[next] = static_cast<float>(
          std::clamp((value - condition.mean) / condition.deviation, -kFarthest, kFarthest));
    ++next;
  }
  return true;
}

Rows<float> ContextModel::ToModel(const NumberRows& context, std::int64_t first,
                                  std::int64_t count) const {
  Rows<float> out(conditions_.empty() ? 0 : count, dim_);
  for (std::int64_t r = 0; r < out.rows(); ++r)
    (void)RowToModel(context, context.rows == 1 ? 0 : first + r, out.view().row(r));
  return out;
}

}  // namespace millrace
