// SPDX-License-Identifier: Apache-2.0
// An invertible linear map in PLU form that starts as a random rotation (Kingma, Dhariwal 2018,
// sec. 3.2): z = P (L U x + b), P a permutation that stays as it is.
#ifndef MILLRACE_CORE_TRANSFORMS_PLU_LINEAR_H_
#define MILLRACE_CORE_TRANSFORMS_PLU_LINEAR_H_

#include <string>

#include "core/transforms/lu_linear.h"
#include "core/transforms/permutation.h"

namespace millrace {

class PluLinear final : public Transform {
 public:
  // P and the initial P L U, which is orthogonal, depend on (dim, seed) alone. O(dim^3).
  PluLinear(int dim, std::uint64_t seed, const std::string& prefix, ParameterLayout& layout);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  // `seed` is not used: the start belongs to P.
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override;
  bool IsTriangular(std::span<const float> parameters) const override;

 private:
  const int dim_;
  const std::uint64_t seed_;
  const LuLinear lu_;
  const Permutation permutation_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_PLU_LINEAR_H_
