// SPDX-License-Identifier: Apache-2.0
// A bijection of whole rows with parameters common to all of them: planar, radial, Sylvester, or a
// rotation of two columns.
#ifndef MILLRACE_CORE_TRANSFORMS_VECTOR_TRANSFORM_H_
#define MILLRACE_CORE_TRANSFORMS_VECTOR_TRANSFORM_H_

#include <string>

#include "core/transforms/transform.h"

namespace millrace {

class VectorTransform final : public Transform {
 public:
  // Adds the parameters to the layout as prefix + "theta".
  VectorTransform(int dim, VectorBijection bijection, const std::string& prefix,
                  ParameterLayout& layout);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override;
  // Even in one dimension: Forward knows no column's share of the log-det.
  bool IsTriangular(std::span<const float>) const override { return false; }

 private:
  const int dim_;
  const VectorBijection bijection_;
  const Slice theta_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_VECTOR_TRANSFORM_H_
