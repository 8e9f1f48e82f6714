// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/act_norm.h"

#include <algorithm>
#include <cmath>

#include "core/math/affine.h"
#include "core/transforms/bijection.h"

namespace millrace {
namespace {

constexpr ScalarBijection kAffine{ScalarBijection::Kind::kAffine};

}  // namespace

ActNorm::ActNorm(int dim, const std::string& prefix, ParameterLayout& layout)
    : dim_(dim), theta_(layout.Add(prefix + "theta", 1, dim * kAffine.parameters(), false)) {}

Matrix ActNorm::Theta(Pass& pass, int rows) const {
  const Matrix theta = pass.arena.NewMatrix(rows, theta_.cols);
  pass.kernels.Broadcast(theta_, pass.weights, theta);
  return theta;
}

void ActNorm::Forward(Pass& pass, Matrix x, Vector log_det) const {
  const PassScope scope(pass);
  if (pass.tape != nullptr) {
    const Matrix input = pass.arena.NewMatrix(x.rows, x.cols);
    pass.kernels.Copy(x, input);
    pass.tape->Push(input);
  }
  ForwardBijection(pass, kAffine, Theta(pass, x.rows), x, log_det);
}

void ActNorm::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  const PassScope scope(pass);
  pass.kernels.BijectionInverse(kAffine, Theta(pass, z.rows), z, log_det);
  if (pass.tape == nullptr) return;
  const Matrix output = pass.arena.NewMatrix(z.rows, z.cols);
  pass.kernels.Copy(z, output);
  pass.tape->Push(output);
}

void ActNorm::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Arena::Scope scope(pass.arena);
  const ConstMatrix x = pass.tape->Pop();
  const Matrix theta_bar = pass.arena.NewMatrix(grad.rows, theta_.cols);
  pass.kernels.BijectionAdjoint(kAffine, Theta(pass, grad.rows), x, log_det_bar, grad, theta_bar);
  if (!pass.gradients.empty())
    pass.kernels.BroadcastAdjoint(theta_, theta_bar, 1.0f, pass.gradients);
}

void ActNorm::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Arena::Scope scope(pass.arena);
  const ConstMatrix x = pass.tape->Pop();
  const Matrix theta_bar = pass.arena.NewMatrix(grad.rows, theta_.cols);
  pass.kernels.BijectionAdjointSolve(kAffine, Theta(pass, grad.rows), x, log_det_bar, grad,
                                     theta_bar);
  if (!pass.gradients.empty())
    pass.kernels.BroadcastAdjoint(theta_, theta_bar, -1.0f, pass.gradients);
}

void ActNorm::InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const {
  for (int c = 0; c < dim_; ++c) {
    const double variance = moments.covariance[static_cast<std::size_t>(c) * dim_ + c];
    const double log_scale = -0.5 * std::log(std::max(variance, 1e-12));
    const double a = SoftClipInverse(log_scale);
    parameters[theta_.offset + 2 * c] =
        static_cast<float>(-moments.mean[c] * std::exp(SoftClip(a)));
    parameters[theta_.offset + 2 * c + 1] = static_cast<float>(a);
  }
}

}  // namespace millrace
