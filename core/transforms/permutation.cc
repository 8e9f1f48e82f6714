// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/permutation.h"

#include <algorithm>
#include <numeric>

#include "core/math/uniform.h"

namespace millrace {

Permutation Permutation::Reverse(int dim) {
  std::vector<int> order(dim);
  std::iota(order.rbegin(), order.rend(), 0);
  return Permutation(std::move(order));
}

Permutation Permutation::Random(int dim, std::uint64_t seed, std::uint32_t stream) {
  std::vector<int> order(dim);
  std::iota(order.begin(), order.end(), 0);
  Shuffle(order, order.size(), seed, stream);
  return Permutation(std::move(order));
}

void Permutation::Gather(Pass& pass, Matrix x) const {
  const Arena::Scope scope(pass.arena);
  const Matrix copy = NewRows(pass, x.rows, x.cols);
  pass.kernels.Copy(x, copy);
  pass.kernels.Gather(copy, order_, x);
}

void Permutation::Scatter(Pass& pass, Matrix z) const {
  const Arena::Scope scope(pass.arena);
  const Matrix copy = NewRows(pass, z.rows, z.cols);
  pass.kernels.Copy(z, copy);
  pass.kernels.Scatter(copy, order_, z);
}

void Permutation::Forward(Pass& pass, Matrix x, Vector) const { Gather(pass, x); }
void Permutation::Inverse(Pass& pass, Matrix z, Vector) const { Scatter(pass, z); }
void Permutation::Backward(Pass& pass, Matrix grad, ConstVector) const { Scatter(pass, grad); }
void Permutation::InverseBackward(Pass& pass, Matrix grad, ConstVector) const {
  Gather(pass, grad);
}

bool Permutation::IsTriangular(std::span<const float>) const {
  return std::is_sorted(order_.begin(), order_.end());
}

}  // namespace millrace
