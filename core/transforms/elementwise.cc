// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/elementwise.h"

#include "core/transforms/bijection.h"

namespace millrace {

Elementwise::Elementwise(int dim, ScalarBijection bijection, const std::string& prefix,
                         ParameterLayout& layout)
    : columns_(AllColumns(dim)),
      bijection_(bijection),
      theta_(bijection.parameters() == 0
                 ? Slice{}
                 : layout.Add(prefix + "theta", 1, dim * bijection.parameters(), false)) {}

Matrix Elementwise::BroadcastTheta(Pass& pass, int rows) const {
  if (theta_.cols == 0) return {};
  const Matrix theta = NewRows(pass, rows, theta_.cols);
  pass.kernels.Broadcast(theta_, pass.weights, theta);
  return theta;
}

void Elementwise::GradientOfTheta(Pass& pass, ConstMatrix theta_bar, float sign) const {
  if (theta_.cols > 0 && !pass.gradients.empty())
    pass.kernels.BroadcastAdjoint(theta_, theta_bar, sign, pass.gradients);
}

void Elementwise::Forward(Pass& pass, Matrix x, Vector log_det) const {
  const PassScope scope(pass);
  Record(pass, x);
  ForwardBijection(pass, bijection_, BroadcastTheta(pass, x.rows), x, columns_, log_det);
}

void Elementwise::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  const PassScope scope(pass);
  InverseBijection(pass, bijection_, BroadcastTheta(pass, z.rows), z, columns_, log_det);
  Record(pass, z);
}

void Elementwise::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Arena::Scope scope(pass.arena);
  const ConstMatrix x = pass.tape->Pop();
  const Matrix theta_bar = pass.arena.NewMatrix(grad.rows, theta_.cols);
  pass.kernels.BijectionAdjoint(bijection_, BroadcastTheta(pass, grad.rows), x, log_det_bar, grad,
                                theta_bar);
  GradientOfTheta(pass, theta_bar, 1.0f);
}

// As for Autoregressive: the implicit function theorem.
void Elementwise::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Arena::Scope scope(pass.arena);
  const ConstMatrix x = pass.tape->Pop();
  const Matrix theta_bar = pass.arena.NewMatrix(grad.rows, theta_.cols);
  pass.kernels.BijectionAdjointSolve(bijection_, BroadcastTheta(pass, grad.rows), x, log_det_bar,
                                     grad, theta_bar);
  GradientOfTheta(pass, theta_bar, -1.0f);
}

}  // namespace millrace
