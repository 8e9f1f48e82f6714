// SPDX-License-Identifier: Apache-2.0
// Which base distribution a flow ends in. Plain values.
#ifndef MILLRACE_CORE_FLOW_BASE_SPEC_H_
#define MILLRACE_CORE_FLOW_BASE_SPEC_H_

#include "absl/status/status.h"
#include "core/math/bijection.h"

namespace millrace {

struct BaseSpec {
  enum class Kind {
    kStandardNormal,
    kDiagonalNormal,  // learned mean and scale of each column
    kUniform,         // on (low, high) in every column
    kLogistic,
    kStudentT,       // learned location, scale and degrees of freedom of each column
    kNormalMixture,  // of `components` normals with diagonal covariances, over all columns jointly
  };
  Kind kind = Kind::kStandardNormal;
  static constexpr int kMaxComponents = 256;
  int components = 8;  // of the mixture, [1, kMaxComponents]
  // Of the uniform: low < high, both within kMostBound and different as floats.
  static constexpr double kMostBound = 1e6;
  double low = 0.0, high = 1.0;

  friend bool operator==(const BaseSpec&, const BaseSpec&) = default;
};

// INVALID_ARGUMENT naming the field, its value and what would be right.
absl::Status Validate(const BaseSpec& base);

// UNIMPLEMENTED for bases whose samples have no derivative in all parameters, so that training by
// samples cannot fit them: mixtures of two or more.
absl::Status CheckSampleGradient(const BaseSpec& base);

// The values a column of the base may have.
Interval Support(const BaseSpec& base);

// Parameters of a base of `dim` columns.
double EstimateParameters(const BaseSpec& base, int dim);

}  // namespace millrace

#endif  // MILLRACE_CORE_FLOW_BASE_SPEC_H_
