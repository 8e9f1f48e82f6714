// SPDX-License-Identifier: Apache-2.0
// A scalar bijection without parameters, the same on every column.
#ifndef MILLRACE_CORE_TRANSFORMS_ELEMENTWISE_H_
#define MILLRACE_CORE_TRANSFORMS_ELEMENTWISE_H_

#include "core/transforms/transform.h"

namespace millrace {

class Elementwise final : public Transform {
 public:
  explicit Elementwise(ScalarBijection bijection) : bijection_(bijection) {}

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t, std::span<float>) const override {}
  bool IsTriangular(std::span<const float>) const override { return true; }

 private:
  const ScalarBijection bijection_;  // parameters() == 0
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_ELEMENTWISE_H_
