// SPDX-License-Identifier: Apache-2.0
// A scalar bijection on every column, with parameters of each column's own that no other column and
// no condition changes.
#ifndef MILLRACE_CORE_TRANSFORMS_ELEMENTWISE_H_
#define MILLRACE_CORE_TRANSFORMS_ELEMENTWISE_H_

#include <string>
#include <vector>

#include "core/transforms/transform.h"

namespace millrace {

class Elementwise : public Transform {
 public:
  // Adds the parameters, if the bijection has any, to the layout.
  Elementwise(int dim, ScalarBijection bijection, const std::string& prefix,
              ParameterLayout& layout);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t, std::span<float>) const override {}
  bool IsTriangular(std::span<const float>) const override { return true; }

 protected:
  int dim() const { return static_cast<int>(columns_.size()); }
  const std::vector<int>& columns() const { return columns_; }
  const Slice& theta() const { return theta_; }

 private:
  Matrix BroadcastTheta(Pass& pass, int rows) const;
  void GradientOfTheta(Pass& pass, ConstMatrix theta_bar, float sign) const;

  const std::vector<int> columns_;
  const ScalarBijection bijection_;
  const Slice theta_;  // [1, dim * parameters], empty without parameters
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_ELEMENTWISE_H_
