// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/autoregressive.h"

#include <utility>

#include "core/transforms/bijection.h"

namespace millrace {
namespace {

MadeSpec WithParameters(MadeSpec spec, ScalarBijection bijection) {
  spec.parameters = bijection.parameters();
  return spec;
}

}  // namespace

Autoregressive::Autoregressive(MadeSpec made, ScalarBijection bijection, const std::string& prefix,
                               ParameterLayout& layout)
    : bijection_(bijection),
      made_(WithParameters(std::move(made), bijection), prefix, layout),
      columns_(AllColumns(made_.dim())) {}

void Autoregressive::Keep(Pass& pass, ConstMatrix x, ConstMatrix theta) const {
  pass.tape->Push(x);
  pass.tape->Push(theta);
}

void Autoregressive::Forward(Pass& pass, Matrix x, Vector log_det) const {
  const PassScope scope(pass);
  const Matrix theta = NewRows(pass, x.rows, made_.theta_cols());
  made_.Forward(pass, x, theta);
  if (pass.tape != nullptr) {
    const Matrix input = pass.arena.NewMatrix(x.rows, x.cols);
    pass.kernels.Copy(x, input);
    Keep(pass, input, theta);
  }
  ForwardBijection(pass, bijection_, theta, x, columns_, log_det);
}

void Autoregressive::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Arena::Scope scope(pass.arena);
  const ConstMatrix theta = pass.tape->Pop();
  const ConstMatrix x = pass.tape->Pop();
  const Matrix theta_bar = pass.arena.NewMatrix(grad.rows, made_.theta_cols());
  pass.kernels.BijectionAdjoint(bijection_, theta, x, log_det_bar, grad, theta_bar);
  if (pass.log_scale_penalty > 0.0)
    pass.kernels.LogScalePenaltyAdjoint(bijection_, theta, log_det_bar, pass.log_scale_penalty,
                                        theta_bar);
  made_.Backward(pass, x, theta_bar, 1.0f, grad);
}

void Autoregressive::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  const PassScope scope(pass);
  const Matrix theta = NewRows(pass, z.rows, made_.theta_cols());
  made_.Invert(pass, bijection_, z, theta, log_det);
  if (pass.tape != nullptr) {
    const Matrix output = pass.arena.NewMatrix(z.rows, z.cols);
    pass.kernels.Copy(z, output);
    Keep(pass, output, theta);
  }
}

// With x = Inverse(z) and log_det = -log_det_forward(x), the implicit function theorem gives
// z_bar = v and theta's adjoints as those of Forward, negated, for the v that Backward would turn
// into x_bar: a triangular system, solved from the last column to the first.
void Autoregressive::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const Arena::Scope scope(pass.arena);
  const ConstMatrix theta = pass.tape->Pop();
  const ConstMatrix x = pass.tape->Pop();
  const Matrix theta_bar = pass.arena.NewMatrix(grad.rows, made_.theta_cols());
  // What the parameters of later columns contribute to x_bar, found so far.
  const Matrix through_theta = pass.arena.NewMatrix(grad.rows, grad.cols);
  pass.kernels.Fill(0.0, through_theta);
  const int p = bijection_.parameters();
  Made::ReverseSweep sweep(made_, pass, theta_bar, through_theta);
  for (int i = grad.cols; i-- > 0;) {
    sweep.Advance(i);
    const Matrix column = grad.Columns(i, 1);
    const Matrix found = through_theta.Columns(i, 1);
    pass.kernels.Negate(found);
    pass.kernels.Add(found, column);
    pass.kernels.BijectionAdjointSolve(bijection_, theta.Columns(i * p, p), x.Columns(i, 1),
                                       log_det_bar, column, theta_bar.Columns(i * p, p));
  }
  sweep.Finish(x, -1.0f);
}

void Autoregressive::Initialise(std::uint64_t seed, std::span<float> parameters) const {
  made_.Initialise(seed, parameters);
}

}  // namespace millrace
