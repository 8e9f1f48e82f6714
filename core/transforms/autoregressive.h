// SPDX-License-Identifier: Apache-2.0
// The masked autoregressive transform of MAF (Papamakarios, Pavlakou, Murray 2017): z_i = b(x_i;
// theta_i) with theta_i a function of x_1 .. x_(i-1). Forward is one pass of the network; Inverse
// finds x column by column in a sweep that computes each hidden unit once, so it costs one pass as
// well.
#ifndef MILLRACE_CORE_TRANSFORMS_AUTOREGRESSIVE_H_
#define MILLRACE_CORE_TRANSFORMS_AUTOREGRESSIVE_H_

#include <string>
#include <vector>

#include "core/conditioners/made.h"
#include "core/transforms/transform.h"

namespace millrace {

class Autoregressive final : public Transform {
 public:
  // `made.parameters` is set from the bijection.
  Autoregressive(MadeSpec made, ScalarBijection bijection, const std::string& prefix,
                 ParameterLayout& layout);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override;
  bool IsTriangular(std::span<const float>) const override { return true; }

 private:
  void Keep(Pass& pass, ConstMatrix x, ConstMatrix theta) const;

  const ScalarBijection bijection_;
  const Made made_;
  const std::vector<int> columns_;  // 0, 1, ...
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_AUTOREGRESSIVE_H_
