// SPDX-License-Identifier: Apache-2.0
// ActNorm (Kingma, Dhariwal 2018, sec. 3.1): a learned scale and shift a column, initialised so
// that its outputs on the training rows have mean 0 and variance 1. What it learns is ordinary
// parameters: a loaded model is never initialised again.
#ifndef MILLRACE_CORE_TRANSFORMS_ACT_NORM_H_
#define MILLRACE_CORE_TRANSFORMS_ACT_NORM_H_

#include <string>

#include "core/transforms/transform.h"

namespace millrace {

class ActNorm final : public Transform {
 public:
  ActNorm(int dim, const std::string& prefix, ParameterLayout& layout);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t, std::span<float>) const override {}
  bool WantsMoments() const override { return true; }
  void InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const override;
  bool IsTriangular(std::span<const float>) const override { return true; }

 private:
  Matrix Theta(Pass& pass, int rows) const;

  int dim_;
  Slice theta_;  // [1, dim * 2]: shift and log-scale of each column, as the affine bijection wants
                 // them
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_ACT_NORM_H_
