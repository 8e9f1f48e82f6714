// SPDX-License-Identifier: Apache-2.0
#include "core/io/model_parts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace millrace {
namespace {

absl::Status CheckAttributes(const Model& model) {
  if (model.attributes.size() > AttributeVector::kMaxOfModel)
    return absl::InvalidArgumentError(absl::StrCat("it has ", model.attributes.size(),
                                                   " attribute vectors; at most ",
                                                   AttributeVector::kMaxOfModel, " are possible"));
  std::set<std::string> names;
  for (const AttributeVector& attribute : model.attributes) {
    if (attribute.name.empty() || attribute.name.size() > AttributeVector::kMaxNameBytes ||
        !names.insert(attribute.name).second)
      return absl::InvalidArgumentError(
          absl::StrCat("'", attribute.name, "' is no name of an attribute, or that of two"));
    if (attribute.vector.size() != static_cast<std::size_t>(model.columns.dim()) ||
        !std::ranges::all_of(attribute.vector, [](double v) { return std::isfinite(v); }))
      return absl::InvalidArgumentError(absl::StrCat("attribute '", attribute.name,
                                                     "': its vector is not ", model.columns.dim(),
                                                     " finite numbers"));
    if (attribute.rows_with < 1 || attribute.rows_without < 1)
      return absl::InvalidArgumentError(
          absl::StrCat("attribute '", attribute.name, "': a mean of no rows"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckParts(const Model& model, const Flow& flow) {
  if (model.columns.dim() != flow.dim())
    return absl::InvalidArgumentError(absl::StrCat("the flow has ", flow.dim(),
                                                   " columns, the table ", model.columns.dim(),
                                                   " that are not constant"));
  if (model.context.dim() != flow.spec().context_dim)
    return absl::InvalidArgumentError(
        absl::StrCat("the flow sees a context of ", flow.spec().context_dim,
                     " columns, the table's conditions make ", model.context.dim()));
  MILLRACE_RETURN_IF_ERROR(CheckAttributes(model));
  const std::vector<double>& log_probs = model.calibration.log_probs;
  for (std::size_t i = 0; i < log_probs.size(); ++i) {
    if (!(log_probs[i] < std::numeric_limits<double>::infinity()) ||
        (i > 0 && log_probs[i] < log_probs[i - 1]))
      return absl::InvalidArgumentError(absl::StrCat("calibration.log_probs", ": ", log_probs[i],
                                                     " at ", i,
                                                     " is no log-density in ascending order"));
  }
  for (const ParameterLayout::Entry& entry : flow.layout().entries()) {
    for (int r = 0; r < entry.slice.rows; ++r) {
      const float* row = model.parameters.data() + entry.slice.offset +
                         static_cast<std::size_t>(r) * entry.slice.ld;
      if (!std::all_of(row, row + entry.slice.cols, [](float v) { return std::isfinite(v); }))
        return absl::InvalidArgumentError(
            absl::StrCat(entry.name, ": a parameter in row ", r, " is not finite"));
    }
  }
  return absl::OkStatus();
}

}  // namespace millrace
