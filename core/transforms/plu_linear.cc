// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/plu_linear.h"

#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "core/base/rows.h"
#include "core/math/normal.h"

namespace millrace {
namespace {

double NormalAt(std::uint64_t seed, int row, int column) {
  const auto words =
      NormalWords(seed, static_cast<std::uint64_t>(row), static_cast<std::uint32_t>(column / 4));
  const int pair = column % 4 / 2 * 2;
  const auto normals = BoxMuller<double>(words[pair], words[pair + 1]);
  return column % 2 == 0 ? normals.first : normals.second;
}

// Adds `factor` times row `from` to row `to`, from column `begin` on.
void AddRow(double factor, int from, int to, int begin, Rows<double>& m) {
  for (int c = begin; c < m.cols(); ++c) m(to, c) += factor * m(from, c);
}

double DotOfRows(const Rows<double>& m, int a, int b) {
  double sum = 0.0;
  for (int c = 0; c < m.cols(); ++c) sum += m(a, c) * m(b, c);
  return sum;
}

// Uniformly distributed: rows of normals, orthonormalised by Gram and Schmidt. The second sweep
// takes away what rounding has left of the first.
Rows<double> RandomOrthogonal(int dim, std::uint64_t seed) {
  Rows<double> m(dim, dim);
  for (int r = 0; r < dim; ++r) {
    for (int c = 0; c < dim; ++c) m(r, c) = NormalAt(seed, r, c);
    for (int sweep = 0; sweep < 2; ++sweep)
      for (int k = 0; k < r; ++k) AddRow(-DotOfRows(m, r, k), k, r, 0, m);
    const double length = std::sqrt(DotOfRows(m, r, r));
    for (int c = 0; c < dim; ++c) m(r, c) /= length;
  }
  return m;
}

struct Factors {
  std::vector<int> order;  // row j of P L U is row order[j] of L U
  Rows<double> lu;         // L below the diagonal, U from it on
};

// Of a random orthogonal matrix, by elimination with partial pivoting. Its columns take the signs
// that make U's diagonal positive.
Factors Factorise(int dim, std::uint64_t seed) {
  Rows<double> m = RandomOrthogonal(dim, seed);
  std::vector<int> row_of(dim);  // row i of L U is row row_of[i] of the matrix
  std::iota(row_of.begin(), row_of.end(), 0);
  for (int k = 0; k < dim; ++k) {
    int pivot = k;
    for (int i = k + 1; i < dim; ++i)
      if (std::fabs(m(i, k)) > std::fabs(m(pivot, k))) pivot = i;
    std::swap(row_of[k], row_of[pivot]);
    for (int c = 0; c < dim; ++c) std::swap(m(k, c), m(pivot, c));
    for (int i = k + 1; i < dim; ++i) {
      const double factor = m(i, k) / m(k, k);
      AddRow(-factor, k, i, k + 1, m);
      m(i, k) = factor;
    }
  }
  for (int c = 0; c < dim; ++c)
    if (m(c, c) < 0.0)
      for (int r = 0; r <= c; ++r) m(r, c) = -m(r, c);
  Factors factors{std::vector<int>(dim), std::move(m)};
  for (int i = 0; i < dim; ++i) factors.order[row_of[i]] = i;
  return factors;
}

}  // namespace

PluLinear::PluLinear(int dim, std::uint64_t seed, const std::string& prefix,
                     ParameterLayout& layout)
    : dim_(dim),
      seed_(seed),
      lu_(dim, /*whiten=*/false, prefix, layout),
      permutation_(Factorise(dim, seed).order) {}

void PluLinear::Forward(Pass& pass, Matrix x, Vector log_det) const {
  lu_.Forward(pass, x, log_det);
  permutation_.Forward(pass, x, log_det);
}

void PluLinear::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  permutation_.Inverse(pass, z, log_det);
  lu_.Inverse(pass, z, log_det);
}

void PluLinear::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  permutation_.Backward(pass, grad, log_det_bar);
  lu_.Backward(pass, grad, log_det_bar);
}

void PluLinear::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  lu_.InverseBackward(pass, grad, log_det_bar);
  permutation_.InverseBackward(pass, grad, log_det_bar);
}

void PluLinear::Initialise(std::uint64_t, std::span<float> parameters) const {
  const Rows<double> lu = Factorise(dim_, seed_).lu;
  lu_.SetFactors({lu.data(), static_cast<std::size_t>(dim_) * dim_}, parameters);
}

bool PluLinear::IsTriangular(std::span<const float> parameters) const {
  return permutation_.IsTriangular(parameters) && lu_.IsTriangular(parameters);
}

}  // namespace millrace
