// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/lu_linear.h"

#include <algorithm>
#include <cmath>

#include "core/base/cholesky.h"
#include "core/math/affine.h"

namespace millrace {

LuLinear::LuLinear(int dim, bool whiten, const std::string& prefix, ParameterLayout& layout)
    : dim_(dim), whiten_(whiten) {
  layer_.lower = layout.Add(prefix + "lower", dim, dim, true);
  layer_.upper = layout.Add(prefix + "upper", dim, dim, true);
  layer_.log_diagonal = layout.Add(prefix + "log_diagonal", 1, dim, false);
  layer_.bias = layout.Add(prefix + "bias", 1, dim, false);
}

void LuLinear::Forward(Pass& pass, Matrix x, Vector log_det) const {
  const PassScope scope(pass);
  const Matrix scratch = pass.arena.NewMatrix(x.rows, x.cols);
  if (pass.tape != nullptr) {
    const Matrix input = pass.arena.NewMatrix(x.rows, x.cols);
    pass.kernels.Copy(x, input);
    pass.tape->Push(input);
  }
  OnBlock(pass, x, [&](Matrix block) {
    pass.kernels.LuForward(layer_, pass.weights, block, scratch, log_det, pass.column_log_det);
  });
}

void LuLinear::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  OnBlock(pass, z, [&](Matrix block) {
    pass.kernels.LuInverse(layer_, pass.weights, block, log_det, pass.column_log_det);
  });
  if (pass.tape == nullptr) return;
  const Matrix output = pass.arena.NewMatrix(z.rows, z.cols);
  pass.kernels.Copy(z, output);
  pass.tape->Push(output);
}

void LuLinear::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const ConstMatrix x = pass.tape->Pop();
  pass.kernels.LuAdjoint(layer_, pass.weights, x, log_det_bar, 1.0f, pass.arena, grad,
                         pass.gradients);
}

// As for Autoregressive: z_bar = v = (L U)^-T x_bar, parameters as Forward's at v, negated.
void LuLinear::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Arena::Scope scope(pass.arena);
  const ConstMatrix x = pass.tape->Pop();
  pass.kernels.LuTransposedSolve(layer_, pass.weights, grad);
  const Matrix x_bar = pass.arena.NewMatrix(grad.rows, grad.cols);
  pass.kernels.Copy(grad, x_bar);
  pass.kernels.LuAdjoint(layer_, pass.weights, x, log_det_bar, -1.0f, pass.arena, x_bar,
                         pass.gradients);
}

// With the covariance C = R R^T, z = R^-1 (x - mean): U = diag(1 / R_ii) and L = R^-1 diag(R_ii).
void LuLinear::InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const {
  std::vector<double> lu = InverseCholesky(moments.covariance, dim_);
  const auto at = [&](int r, int c) -> double& {
    return lu[static_cast<std::size_t>(r) * dim_ + c];
  };
  for (int r = 0; r < dim_; ++r) {
    double shift = 0.0;
    for (int c = 0; c <= r; ++c) {
      shift -= at(r, c) * moments.mean[c];
      if (c < r) at(r, c) /= at(c, c);
    }
    parameters[layer_.bias.offset + r] = static_cast<float>(shift);
  }
  SetFactors(lu, parameters);
}

void LuLinear::SetFactors(std::span<const double> lu, std::span<float> parameters) const {
  for (int r = 0; r < dim_; ++r) {
    const std::span<const double> row = lu.subspan(static_cast<std::size_t>(r) * dim_, dim_);
    const std::size_t begin = static_cast<std::size_t>(r) * layer_.lower.ld;
    for (int c = 0; c < dim_; ++c)
      if (c != r)
        parameters[(c < r ? layer_.lower : layer_.upper).offset + begin + c] =
            static_cast<float>(row[c]);
    parameters[layer_.log_diagonal.offset + r] =
        static_cast<float>(SoftClipInverse(std::log(row[r]), kLogDiagonalBound));
  }
}

bool LuLinear::IsTriangular(std::span<const float> parameters) const {
  const auto upper = parameters.subspan(layer_.upper.offset, layer_.upper.extent());
  return std::all_of(upper.begin(), upper.end(), [](float v) { return v == 0.0f; });
}

}  // namespace millrace
