// SPDX-License-Identifier: Apache-2.0
#include "core/flow/base_spec.h"

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"

namespace millrace {

absl::Status Validate(const BaseSpec& base) {
  if (base.kind == BaseSpec::Kind::kNormalMixture &&
      (base.components < 1 || base.components > BaseSpec::kMaxComponents))
    return InvalidArgument("flow.base.components", absl::StrCat(base.components),
                           absl::StrCat("1 to ", BaseSpec::kMaxComponents));
  if (base.kind != BaseSpec::Kind::kUniform) return absl::OkStatus();
  constexpr double kMost = BaseSpec::kMostBound;
  if (!(base.low >= -kMost && base.low <= kMost))
    return InvalidArgument("flow.base.low", absl::StrCat(base.low),
                           absl::StrCat(-kMost, " to ", kMost));
  if (!(base.high <= kMost && static_cast<float>(base.low) < static_cast<float>(base.high)))
    return InvalidArgument("flow.base.high", absl::StrCat(base.high),
                           absl::StrCat("a number above low, ", base.low, ", at most ", kMost));
  return absl::OkStatus();
}

absl::Status CheckSampleGradient(const BaseSpec& base) {
  if (base.kind != BaseSpec::Kind::kNormalMixture || base.components == 1) return absl::OkStatus();
  return absl::UnimplementedError(
      "flow.base: a mixture of normals cannot be fitted by its samples, which have no derivative "
      "in the weights; use another base or fit to data");
}

Interval Support(const BaseSpec& base) {
  return base.kind == BaseSpec::Kind::kUniform ? Interval{base.low, base.high} : kAllReals;
}

double EstimateParameters(const BaseSpec& base, int dim) {
  switch (base.kind) {
    case BaseSpec::Kind::kDiagonalNormal:
      return 2.0 * dim;
    case BaseSpec::Kind::kStudentT:
      return 3.0 * dim;
    case BaseSpec::Kind::kNormalMixture:
      return base.components * (2.0 * dim + 1.0);
    default:
      return 0.0;
  }
}

}  // namespace millrace
