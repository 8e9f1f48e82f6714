// SPDX-License-Identifier: Apache-2.0
// Coupling (NICE, Dinh et al. 2015; RealNVP, Dinh et al. 2017): some columns are kept as they are,
// the others go through a scalar bijection whose parameters a conditioner computes from those kept.
// Both directions are one pass.
#ifndef MILLRACE_CORE_TRANSFORMS_COUPLING_H_
#define MILLRACE_CORE_TRANSFORMS_COUPLING_H_

#include <memory>
#include <string>
#include <vector>

#include "core/conditioners/conditioner.h"
#include "core/conditioners/network.h"
#include "core/transforms/transform.h"

namespace millrace {

class Coupling final : public Transform {
 public:
  // The conditioner has an input for each column that is kept and bijection.parameters() outputs
  // for each that is moved.
  Coupling(const std::vector<bool>& moved, ScalarBijection bijection,
           std::unique_ptr<const Conditioner> conditioner);
  // With a network, whose inputs and outputs need not be said.
  Coupling(const std::vector<bool>& moved, ScalarBijection bijection, NetworkSpec network,
           const std::string& prefix, ParameterLayout& layout);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override {
    conditioner_->Initialise(seed, parameters);
  }
  int UsesOfParameters() const override { return conditioner_->UsesOfParameters(); }
  bool IsTriangular(std::span<const float> parameters) const override;

 private:
  template <typename Map>
  void Apply(Pass& pass, Matrix x, const Map& map, bool keep_result) const;
  template <typename Adjoint>
  void ApplyAdjoint(Pass& pass, Matrix grad, const Adjoint& adjoint, float sign) const;

  const ScalarBijection bijection_;
  const std::vector<int> kept_, moved_;
  const std::unique_ptr<const Conditioner> conditioner_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_COUPLING_H_
