// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/batch_norm.h"

#include <algorithm>
#include <cstddef>

#include "core/transforms/bijection.h"

namespace millrace {
namespace {

constexpr ScalarBijection kStandardise{ScalarBijection::Kind::kStandardise};

}  // namespace

BatchNorm::BatchNorm(int dim, const std::string& prefix, ParameterLayout& layout, int uses)
    : Elementwise(dim, {ScalarBijection::Kind::kAffine}, prefix, layout),
      share_(1.0 / uses),
      statistics_(layout.AddStatistic(prefix + "statistics", 1, 2 * dim)) {}

Matrix BatchNorm::BroadcastStatistics(Pass& pass, int rows) const {
  const Matrix theta = NewRows(pass, rows, statistics_.cols);
  pass.kernels.Broadcast(statistics_, pass.weights, theta);
  return theta;
}

void BatchNorm::Forward(Pass& pass, Matrix x, Vector log_det) const {
  Record(pass, x);
  {
    const Arena::Scope scope(pass.arena);
    ForwardBijection(pass, kStandardise, BroadcastStatistics(pass, x.rows), x, columns(), log_det);
  }
  Elementwise::Forward(pass, x, log_det);
}

void BatchNorm::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  Elementwise::Inverse(pass, z, log_det);
  {
    const Arena::Scope scope(pass.arena);
    InverseBijection(pass, kStandardise, BroadcastStatistics(pass, z.rows), z, columns(), log_det);
  }
  Record(pass, z);
}

void BatchNorm::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  Elementwise::Backward(pass, grad, log_det_bar);
  const Arena::Scope scope(pass.arena);
  const ConstMatrix x = pass.tape->Pop();
  const Matrix unused = pass.arena.NewMatrix(grad.rows, statistics_.cols);
  pass.kernels.BijectionAdjoint(kStandardise, BroadcastStatistics(pass, grad.rows), x, log_det_bar,
                                grad, unused);
  if (!pass.gradients.empty())
    pass.kernels.StatisticsAdjoint(statistics_, pass.weights, x, share_, pass.gradients);
}

void BatchNorm::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  {
    const Arena::Scope scope(pass.arena);
    const ConstMatrix x = pass.tape->Pop();
    const Matrix unused = pass.arena.NewMatrix(grad.rows, statistics_.cols);
    pass.kernels.BijectionAdjointSolve(kStandardise, BroadcastStatistics(pass, grad.rows), x,
                                       log_det_bar, grad, unused);
  }
  Elementwise::InverseBackward(pass, grad, log_det_bar);
}

void BatchNorm::Initialise(std::uint64_t, std::span<float> parameters) const {
  for (int c = 0; c < dim(); ++c) parameters[statistics_.offset + 2 * c + 1] = 1.0f;
}

void BatchNorm::InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const {
  for (int c = 0; c < dim(); ++c) {
    const double variance = moments.covariance[static_cast<std::size_t>(c) * dim() + c];
    parameters[statistics_.offset + 2 * c] = static_cast<float>(moments.mean[c]);
    parameters[statistics_.offset + 2 * c + 1] = static_cast<float>(std::max(variance, 0.0));
  }
}

}  // namespace millrace
