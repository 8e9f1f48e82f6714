// SPDX-License-Identifier: Apache-2.0
// What kernels need to know of a base distribution.
#ifndef MILLRACE_CORE_EXEC_BASE_LAYER_H_
#define MILLRACE_CORE_EXEC_BASE_LAYER_H_

#include <cstdint>

#include "core/exec/parameters.h"

namespace millrace {

// Columns are independent, each of a distribution of core/math/base_density.h that is moved and
// scaled; or a mixture of `components` such, over all columns jointly. Scales are exp(clip(.)),
// clip as in core/math/affine.h. A slice with rows == 0 counts as zeros.
struct BaseLayer {
  static constexpr int kMaxComponents = 256;

  enum class Kind { kNormal, kUniform, kLogistic, kStudentT };
  Kind kind = Kind::kNormal;
  double low = 0.0, high = 1.0;  // of kUniform, which is neither moved nor scaled
  int components = 1;            // [1, kMaxComponents]
  Slice logits;                  // [1, components]: the mixture's weights are their softmax
  Slice location;                // [components, dim]
  Slice log_scale;               // [components, dim]
  Slice shape;                   // [1, dim], of kStudentT
};

// What a sample of a base distribution depends on, beside the distribution.
struct SampleKey {
  std::uint64_t seed = 0;
  std::uint64_t row = 0;
  double temperature = 1.0;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_BASE_LAYER_H_
