// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/vector_transform.h"

namespace millrace {

VectorTransform::VectorTransform(int dim, VectorBijection bijection, const std::string& prefix,
                                 ParameterLayout& layout)
    : dim_(dim),
      bijection_(bijection),
      theta_(layout.Add(prefix + "theta", 1, bijection.parameters(dim), false)) {}

void VectorTransform::Forward(Pass& pass, Matrix x, Vector log_det) const {
  Record(pass, x);
  OnBlock(pass, x, [&](Matrix block) {
    pass.kernels.VectorForward(bijection_, theta_, pass.weights, pass.arena, block, log_det);
  });
}

void VectorTransform::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  OnBlock(pass, z, [&](Matrix block) {
    pass.kernels.VectorInverse(bijection_, theta_, pass.weights, pass.arena, block, log_det);
  });
  Record(pass, z);
}

void VectorTransform::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const ConstMatrix x = pass.tape->Pop();
  pass.kernels.VectorAdjoint(bijection_, theta_, pass.weights, x, log_det_bar, 1.0f, pass.arena,
                             grad, pass.gradients);
}

// As for Autoregressive: z_bar = v solves J^T v = x_bar - d log_det / dx, parameters as Forward's
// at v, negated.
void VectorTransform::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Arena::Scope scope(pass.arena);
  const ConstMatrix x = pass.tape->Pop();
  const Matrix x_bar = pass.arena.NewMatrix(grad.rows, grad.cols);
  pass.kernels.Fill(0.0, x_bar);
  pass.kernels.VectorAdjoint(bijection_, theta_, pass.weights, x, log_det_bar, 1.0f, pass.arena,
                             x_bar, {});
  pass.kernels.Negate(x_bar);
  pass.kernels.Add(x_bar, grad);
  pass.kernels.VectorTransposedSolve(bijection_, theta_, pass.weights, x, pass.arena, grad);
  pass.kernels.Copy(grad, x_bar);
  pass.kernels.VectorAdjoint(bijection_, theta_, pass.weights, x, log_det_bar, -1.0f, pass.arena,
                             x_bar, pass.gradients);
}

void VectorTransform::Initialise(std::uint64_t seed, std::span<float> parameters) const {
  bijection_.Initialise(dim_, seed, parameters.subspan(theta_.offset, theta_.extent()));
}

}  // namespace millrace
