// SPDX-License-Identifier: Apache-2.0
// ActNorm (Kingma, Dhariwal 2018, sec. 3.1): a learned scale and shift a column, initialised so
// that its outputs on the training rows have mean 0 and variance 1. What it learns is ordinary
// parameters: a loaded model is never initialised again.
#ifndef MILLRACE_CORE_TRANSFORMS_ACT_NORM_H_
#define MILLRACE_CORE_TRANSFORMS_ACT_NORM_H_

#include <string>

#include "core/transforms/elementwise.h"

namespace millrace {

class ActNorm final : public Elementwise {
 public:
  ActNorm(int dim, const std::string& prefix, ParameterLayout& layout)
      : Elementwise(dim, {ScalarBijection::Kind::kAffine}, prefix, layout) {}

  bool WantsMoments() const override { return true; }
  bool WantsCovariance() const override { return false; }
  void InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const override;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_ACT_NORM_H_
