// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/residual.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/base/check.h"
#include "core/transforms/spectral_norm.h"

namespace millrace {
namespace {

int MostOutputs(int dim, const std::vector<int>& hidden_sizes) {
  return std::max(dim, *std::max_element(hidden_sizes.begin(), hidden_sizes.end()));
}

}  // namespace

Residual::Residual(int dim, int context_dim, const std::vector<int>& hidden_sizes,
                   const std::string& prefix, ParameterLayout& layout)
    : dim_(dim),
      network_({.inputs = dim,
                .context_dim = context_dim,
                .outputs = dim,
                .hidden_sizes = hidden_sizes,
                .residual = false,
                .activation = Activation::kTanh},
               {}, prefix, layout),
      directions_(
          layout.AddStatistic(prefix + "directions", layers(), MostOutputs(dim, hidden_sizes))) {
  MILLRACE_CHECK(dim <= kMaxDim);
}

// g(x), and the activations it passes through.
void Residual::Evaluate(Pass& pass, ConstMatrix x, const Hidden& value, Matrix g) const {
  ConstMatrix in = x;
  for (int l = 0; l < layers(); ++l) {
    const bool last = l + 1 == layers();
    const Matrix out = last ? g : value[l];
    network_.Multiply(pass, l, {0, out.cols, 0, in.cols}, in, DenseStart::kBias,
                      last ? Activation::kIdentity : Activation::kTanh, out);
    in = out;
  }
}

// J times the direction of each row. `before` and `after` hold what the layers' products are before
// and after the slope of their activation.
void Residual::Tangents(Pass& pass, const Hidden& value, ConstMatrix direction,
                        const Hidden& before, const Hidden& after, Matrix out) const {
  ConstMatrix in = direction;
  for (int l = 0; l < layers(); ++l) {
    const bool last = l + 1 == layers();
    const Matrix product = last ? out : before[l];
    network_.Multiply(pass, l, {0, product.cols, 0, in.cols}, in, DenseStart::kZero,
                      Activation::kIdentity, product);
    if (last) break;
    pass.kernels.Copy(before[l], after[l]);
    pass.kernels.ActivationAdjoint(Activation::kTanh, value[l], after[l]);
    in = after[l];
  }
}

void Residual::Jacobian(Pass& pass, const Hidden& value, Matrix jacobian) const {
  const Arena::Scope scope(pass.arena);
  const int rows = jacobian.rows;
  const Matrix direction = pass.arena.NewMatrix(rows, dim_);
  const Hidden tangent = network_.NewHidden(pass, rows);
  const Hidden slope = network_.NewHidden(pass, rows);
  pass.kernels.Fill(0.0, direction);
  for (int j = 0; j < dim_; ++j) {
    pass.kernels.Fill(1.0, direction.Columns(j, 1));
    Tangents(pass, value, direction, tangent, slope, jacobian.Columns(j * dim_, dim_));
    pass.kernels.Fill(0.0, direction.Columns(j, 1));
  }
}

void Residual::Push(Pass& pass, ConstMatrix x, const Hidden& value, ConstMatrix lu) const {
  if (pass.tape == nullptr) return;
  Record(pass, x);
  pass.tape->Push(lu);
  network_.PushHidden(pass, value);
}

void Residual::Forward(Pass& pass, Matrix x, Vector log_det) const {
  const PassScope scope(pass);
  const Hidden value = network_.NewHidden(pass, x.rows);
  const Matrix g = NewRows(pass, x.rows, dim_);
  const Matrix jacobian = pass.arena.NewMatrix(x.rows, dim_ * dim_);
  Evaluate(pass, x, value, g);
  Jacobian(pass, value, jacobian);
  pass.kernels.FactoriseJacobian(1.0, jacobian, dim_, log_det);
  Push(pass, x, value, jacobian);
  pass.kernels.Add(g, x);
}

void Residual::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  OnBlock(pass, z, [&](Matrix block) { InvertBlock(pass, block, log_det); });
}

void Residual::InvertBlock(Pass& pass, Matrix z, Vector log_det) const {
  const PassScope scope(pass);
  const Hidden value = network_.NewHidden(pass, z.rows);
  const Matrix g = pass.arena.NewMatrix(z.rows, dim_);
  const Matrix target = pass.arena.NewMatrix(z.rows, dim_);
  const Matrix moving = pass.arena.NewMatrix(z.rows, 1);
  pass.kernels.Copy(z, target);
  pass.kernels.Fill(1.0, moving);
  for (int step = 0; step < kMostFixedPointSteps; ++step) {
    Evaluate(pass, z, value, g);
    if (!pass.kernels.FixedPointStep(target, g, moving, z)) break;
  }
  Evaluate(pass, z, value, g);
  const Matrix jacobian = pass.arena.NewMatrix(z.rows, dim_ * dim_);
  Jacobian(pass, value, jacobian);
  pass.kernels.FactoriseJacobian(-1.0, jacobian, dim_, log_det);
  Push(pass, z, value, jacobian);
}

// Adjoint of Tangents for `out_bar`, at a direction that is constant.
void Residual::TangentAdjoint(Pass& pass, const Hidden& value, ConstMatrix direction,
                              ConstMatrix out_bar, float sign, const Hidden& value_bar) const {
  const Arena::Scope scope(pass.arena);
  const Hidden before = network_.NewHidden(pass, direction.rows);
  const Hidden after = network_.NewHidden(pass, direction.rows);
  const Hidden bar = network_.NewHidden(pass, direction.rows);
  const Matrix unused = pass.arena.NewMatrix(direction.rows, dim_);
  Tangents(pass, value, direction, before, after, unused);
  ConstMatrix above = out_bar;
  for (int l = layers() - 1; l >= 0; --l) {
    const DenseLayer linear = network_.LinearPart(l);
    if (!pass.gradients.empty())
      pass.kernels.DenseWeightAdjoint(linear, l == 0 ? direction : ConstMatrix(after[l - 1]), above,
                                      sign, pass.arena, pass.gradients);
    if (l == 0) break;
    pass.kernels.DenseInputAdjoint(linear, {0, above.cols, 0, bar[l - 1].cols}, pass.weights, above,
                                   /*accumulate=*/false, bar[l - 1]);
    pass.kernels.ActivationSlopeAdjoint(Activation::kTanh, value[l - 1], before[l - 1], bar[l - 1],
                                        value_bar[l - 1]);
    above = bar[l - 1];
  }
}

// d ln det(I + J) = tr((I + J)^-1 dJ): column j of J has the adjoint (I + J)^-T e_j.
void Residual::LogDetAdjoint(Pass& pass, const Hidden& value, ConstMatrix lu,
                             ConstVector log_det_bar, float sign, const Hidden& value_bar) const {
  const Arena::Scope scope(pass.arena);
  const Matrix direction = pass.arena.NewMatrix(lu.rows, dim_);
  const Matrix column_bar = pass.arena.NewMatrix(lu.rows, dim_);
  pass.kernels.Fill(0.0, direction);
  for (int j = 0; j < dim_; ++j) {
    pass.kernels.Fill(0.0, column_bar);
    pass.kernels.Spread(log_det_bar, column_bar.Columns(j, 1));
    pass.kernels.JacobianTransposedSolve(lu, column_bar);
    pass.kernels.Fill(1.0, direction.Columns(j, 1));
    TangentAdjoint(pass, value, direction, column_bar, sign, value_bar);
    pass.kernels.Fill(0.0, direction.Columns(j, 1));
  }
}

// grad holds dL/dz and becomes dL/dx.
void Residual::Adjoint(Pass& pass, ConstMatrix x, const Hidden& value, ConstMatrix lu,
                       ConstVector log_det_bar, float sign, Matrix grad) const {
  const Arena::Scope scope(pass.arena);
  const Hidden value_bar = network_.NewHidden(pass, x.rows);
  const Hidden bar = network_.NewHidden(pass, x.rows);
  const Matrix g_bar = pass.arena.NewMatrix(x.rows, dim_);
  for (int l = 0; l < network_.num_hidden(); ++l) pass.kernels.Fill(0.0, value_bar[l]);
  LogDetAdjoint(pass, value, lu, log_det_bar, sign, value_bar);
  pass.kernels.Copy(grad, g_bar);
  for (int l = network_.num_hidden(); l-- > 0;) {
    network_.UnitAdjoints(pass, l, 0, bar[l].cols, g_bar, value, bar);
    pass.kernels.ActivationAdjoint(Activation::kTanh, value[l], value_bar[l]);
    pass.kernels.Add(value_bar[l], bar[l]);
  }
  network_.InputAdjoints(pass, 0, dim_, bar, grad);
  network_.ParameterAdjoints(pass, x, g_bar, value, bar, sign);
}

void Residual::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Hidden value = network_.PopHidden(pass);
  const ConstMatrix lu = pass.tape->Pop();
  const ConstMatrix x = pass.tape->Pop();
  Adjoint(pass, x, value, lu, log_det_bar, 1.0f, grad);
}

// As for Autoregressive: z_bar = v solves (I + J)^T v = x_bar - d log_det / dx, parameters as
// Forward's at v, negated.
void Residual::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Arena::Scope scope(pass.arena);
  const Hidden value = network_.PopHidden(pass);
  const ConstMatrix lu = pass.tape->Pop();
  const ConstMatrix x = pass.tape->Pop();
  const Matrix x_bar = pass.arena.NewMatrix(grad.rows, dim_);
  pass.kernels.Fill(0.0, x_bar);
  Pass alone = pass;  // no parameter's, no context's
  alone.gradients = {};
  alone.context_bar = {};
  Adjoint(alone, x, value, lu, log_det_bar, 1.0f, x_bar);
  pass.kernels.Negate(x_bar);
  pass.kernels.Add(x_bar, grad);
  pass.kernels.JacobianTransposedSolve(lu, grad);
  pass.kernels.Copy(grad, x_bar);
  Adjoint(pass, x, value, lu, log_det_bar, -1.0f, x_bar);
}

void Residual::Initialise(std::uint64_t seed, std::span<float> parameters) const {
  constexpr int kRounds = 50;
  network_.Initialise(seed, parameters);
  for (int round = 0; round < kRounds; ++round) Constrain(parameters);
}

void Residual::Constrain(std::span<float> parameters) const {
  constexpr int kIterations = 4;
  const double largest = std::pow(kContraction, 1.0 / layers());
  for (int l = 0; l < layers(); ++l) {
    const Slice weight = network_.LinearPart(l).weight;
    const double norm = EstimateSpectralNorm(
        weight, parameters, kIterations,
        parameters.subspan(directions_.offset + static_cast<std::size_t>(l) * directions_.ld,
                           directions_.cols));
    if (!(norm > largest)) continue;
    const auto factor = static_cast<float>(largest / norm);
    for (float& value : parameters.subspan(weight.offset, weight.extent())) value *= factor;
  }
}

void Residual::ConstrainByBound(std::span<float> parameters) const {
  const double bound = LipschitzBound(parameters);
  if (bound < 1.0) return;
  const auto factor = static_cast<float>(std::pow(kContraction / bound, 1.0 / layers()));
  for (int l = 0; l < layers(); ++l) {
    const Slice weight = network_.LinearPart(l).weight;
    for (float& value : parameters.subspan(weight.offset, weight.extent())) value *= factor;
  }
}

double Residual::LipschitzBound(std::span<const float> parameters) const {
  double bound = 1.0;
  for (int l = 0; l < layers(); ++l)
    bound *= BoundSpectralNorm(network_.LinearPart(l).weight, parameters);
  return bound;
}

}  // namespace millrace
