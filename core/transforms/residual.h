// SPDX-License-Identifier: Apache-2.0
// A residual flow's layer (i-ResNet, Behrmann et al. 2019; Residual Flows, Chen et al. 2019):
//
//   z = x + g(x, context),   log|det dz/dx| = ln det(I + J),   J = dg/dx
//
// g is a network of tanh layers whose weight matrices have spectral norms of at most
// kContraction^(1 / layers): g contracts, so that z has one x, which x <- z - g(x) approaches, and
// det(I + J) > 0. Nothing in a pass normalises weights; Constrain does, after every step.
//
// The log-det is exact, from the Jacobian of every row, and so is its gradient: one pass costs
// about `dim` passes of the network. The inverse stops where a float's digits do, each row by
// itself.
#ifndef MILLRACE_CORE_TRANSFORMS_RESIDUAL_H_
#define MILLRACE_CORE_TRANSFORMS_RESIDUAL_H_

#include <string>
#include <vector>

#include "core/conditioners/network.h"
#include "core/transforms/transform.h"

namespace millrace {

class Residual final : public Transform {
 public:
  static constexpr int kMaxDim = 128;
  static constexpr double kContraction = 0.95;
  static constexpr int kMostFixedPointSteps = 1000;  // a double's digits take 700

  // dim <= kMaxDim. The context enters the network's first layer.
  Residual(int dim, int context_dim, const std::vector<int>& hidden_sizes,
           const std::string& prefix, ParameterLayout& layout);

  void Forward(Pass& pass, Matrix x, Vector log_det) const override;
  void Inverse(Pass& pass, Matrix z, Vector log_det) const override;
  void Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const override;
  void Initialise(std::uint64_t seed, std::span<float> parameters) const override;
  void Constrain(std::span<float> parameters) const override;
  // Of g: the product of its layers' norms, each at most 1% above. O(n^3) of their sizes.
  double LipschitzBound(std::span<const float> parameters) const override;
  // Scales all layers alike, down to a bound of kContraction.
  void ConstrainByBound(std::span<float> parameters) const override;
  int UsesOfParameters() const override { return dim_ + kMostFixedPointSteps; }
  bool IsTriangular(std::span<const float>) const override { return false; }

 private:
  using Hidden = Network::Hidden;

  void InvertBlock(Pass& pass, Matrix z, Vector log_det) const;
  void Evaluate(Pass& pass, ConstMatrix x, const Hidden& value, Matrix g) const;
  void Jacobian(Pass& pass, const Hidden& value, Matrix jacobian) const;
  void Tangents(Pass& pass, const Hidden& value, ConstMatrix direction, const Hidden& before,
                const Hidden& after, Matrix out) const;
  void TangentAdjoint(Pass& pass, const Hidden& value, ConstMatrix direction, ConstMatrix out_bar,
                      float sign, const Hidden& value_bar) const;
  void LogDetAdjoint(Pass& pass, const Hidden& value, ConstMatrix lu, ConstVector log_det_bar,
                     float sign, const Hidden& value_bar) const;
  void Adjoint(Pass& pass, ConstMatrix x, const Hidden& value, ConstMatrix lu,
               ConstVector log_det_bar, float sign, Matrix grad) const;
  void Push(Pass& pass, ConstMatrix x, const Hidden& value, ConstMatrix lu) const;

  int layers() const { return network_.num_hidden() + 1; }

  const int dim_;
  const Network network_;
  // Where power iteration stands, a row a layer of the network; [layers, most outputs].
  const Slice directions_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_RESIDUAL_H_
