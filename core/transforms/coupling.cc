// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/coupling.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/transforms/bijection.h"

namespace millrace {
namespace {

std::vector<int> ColumnsWhere(const std::vector<bool>& moved, bool value) {
  std::vector<int> columns;
  for (std::size_t c = 0; c < moved.size(); ++c)
    if (moved[c] == value) columns.push_back(static_cast<int>(c));
  return columns;
}

std::unique_ptr<const Network> MakeNetwork(const std::vector<bool>& moved,
                                           ScalarBijection bijection, NetworkSpec network,
                                           const std::string& prefix, ParameterLayout& layout) {
  const auto count = static_cast<int>(std::ranges::count(moved, true));
  network.inputs = static_cast<int>(moved.size()) - count;
  network.outputs = count * bijection.parameters();
  return std::make_unique<Network>(network, std::vector<std::vector<int>>(), prefix, layout);
}

}  // namespace

Coupling::Coupling(const std::vector<bool>& moved, ScalarBijection bijection,
                   std::unique_ptr<const Conditioner> conditioner)
    : bijection_(bijection),
      kept_(ColumnsWhere(moved, false)),
      moved_(ColumnsWhere(moved, true)),
      conditioner_(std::move(conditioner)) {
  MILLRACE_CHECK(conditioner_->inputs() == static_cast<int>(kept_.size()));
  MILLRACE_CHECK(conditioner_->outputs() ==
                 static_cast<int>(moved_.size()) * bijection.parameters());
}

Coupling::Coupling(const std::vector<bool>& moved, ScalarBijection bijection, NetworkSpec network,
                   const std::string& prefix, ParameterLayout& layout)
    : Coupling(moved, bijection,
               MakeNetwork(moved, bijection, std::move(network), prefix, layout)) {}

// map(theta, moved columns) changes the columns that are moved. With a tape, what is kept are the
// conditioner's activations, its input, theta and the moved columns on the side of the data.
template <typename Map>
void Coupling::Apply(Pass& pass, Matrix x, const Map& map, bool keep_result) const {
  const PassScope scope(pass);
  const Matrix kept = NewRows(pass, x.rows, conditioner_->inputs());
  const Matrix theta = NewRows(pass, x.rows, conditioner_->outputs());
  const Matrix moved = NewRows(pass, x.rows, static_cast<int>(moved_.size()));
  pass.kernels.Gather(x, kept_, kept);
  pass.kernels.Gather(x, moved_, moved);
  conditioner_->Forward(pass, kept, theta);
  Matrix mapped = moved;
  if (pass.tape != nullptr && !keep_result) {
    mapped = pass.arena.NewMatrix(moved.rows, moved.cols);
    pass.kernels.Copy(moved, mapped);
  }
  map(theta, mapped);
  pass.kernels.Scatter(mapped, moved_, x);
  if (pass.tape == nullptr) return;
  pass.tape->Push(kept);
  pass.tape->Push(theta);
  pass.tape->Push(moved);
}

void Coupling::Forward(Pass& pass, Matrix x, Vector log_det) const {
  const auto map = [&](ConstMatrix theta, Matrix moved) {
    ForwardBijection(pass, bijection_, theta, moved, moved_, log_det);
  };
  Apply(pass, x, map, /*keep_result=*/false);
}

void Coupling::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  const auto map = [&](ConstMatrix theta, Matrix moved) {
    InverseBijection(pass, bijection_, theta, moved, moved_, log_det);
  };
  Apply(pass, z, map, /*keep_result=*/true);
}

// adjoint(theta, moved data, moved_bar, theta_bar); the network's adjoint counts `sign` times.
template <typename Adjoint>
void Coupling::ApplyAdjoint(Pass& pass, Matrix grad, const Adjoint& adjoint, float sign) const {
  const Arena::Scope scope(pass.arena);
  const ConstMatrix moved = pass.tape->Pop();
  const ConstMatrix theta = pass.tape->Pop();
  const ConstMatrix kept = pass.tape->Pop();
  const Matrix moved_bar = pass.arena.NewMatrix(grad.rows, moved.cols);
  const Matrix theta_bar = pass.arena.NewMatrix(grad.rows, theta.cols);
  pass.kernels.Gather(grad, moved_, moved_bar);
  adjoint(theta, moved, moved_bar, theta_bar);
  pass.kernels.Scatter(moved_bar, moved_, grad);
  const Matrix kept_bar = pass.arena.NewMatrix(grad.rows, kept.cols);
  pass.kernels.Gather(grad, kept_, kept_bar);
  if (sign < 0.0f) pass.kernels.Negate(kept_bar);
  conditioner_->Backward(pass, kept, theta_bar, sign, kept_bar);
  if (sign < 0.0f) pass.kernels.Negate(kept_bar);
  pass.kernels.Scatter(kept_bar, kept_, grad);
}

void Coupling::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const auto adjoint = [&](ConstMatrix theta, ConstMatrix moved, Matrix moved_bar,
                           Matrix theta_bar) {
    pass.kernels.BijectionAdjoint(bijection_, theta, moved, log_det_bar, moved_bar, theta_bar);
    if (pass.log_scale_penalty > 0.0)
      pass.kernels.LogScalePenaltyAdjoint(bijection_, theta, log_det_bar, pass.log_scale_penalty,
                                          theta_bar);
  };
  ApplyAdjoint(pass, grad, adjoint, 1.0f);
}

// As for Autoregressive: the implicit function theorem. What the network contributes to the kept
// columns is subtracted like its parameters' gradients.
void Coupling::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  const auto adjoint = [&](ConstMatrix theta, ConstMatrix moved, Matrix moved_bar,
                           Matrix theta_bar) {
    pass.kernels.BijectionAdjointSolve(bijection_, theta, moved, log_det_bar, moved_bar, theta_bar);
  };
  ApplyAdjoint(pass, grad, adjoint, -1.0f);
}

bool Coupling::IsTriangular(std::span<const float>) const {
  return kept_.empty() || kept_.back() < moved_.front();
}

}  // namespace millrace
