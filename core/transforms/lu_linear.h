// SPDX-License-Identifier: Apache-2.0
// An invertible linear map in LU form (Kingma, Dhariwal 2018, sec. 3.2): z = L U x + b. Starts as
// the identity, or as the map that whitens its inputs.
#ifndef MILLRACE_CORE_TRANSFORMS_LU_LINEAR_H_
#define MILLRACE_CORE_TRANSFORMS_LU_LINEAR_H_

#include <string>

#include "core/transforms/transform.h"

namespace millrace {

class LuLinear final : public Transform {
 public:
  // With `whiten`, the initialisation from moments makes the outputs uncorrelated, of mean 0 and
  // variance 1 where the inputs allow it: then this transform and a standard normal are the
  // full-covariance Gaussian of the rows.
  LuLinear(int dim, bool whiten, const std::string& prefix, ParameterLayout& layout);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t, std::span<float>) const override {}
  bool WantsMoments() const override { return whiten_; }
  void InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const override;
  // Writes L and U but not the bias: `lu` [dim, dim] row-major holds L below the diagonal and U,
  // with positive numbers on it, from there on.
  void SetFactors(std::span<const double> lu, std::span<float> parameters) const;
  // Where nothing stands above the diagonal of U: so after InitialiseFromMoments, until trained.
  bool IsTriangular(std::span<const float> parameters) const override;

 private:
  int dim_;
  bool whiten_;
  LuLayer layer_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_LU_LINEAR_H_
