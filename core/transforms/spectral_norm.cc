// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/spectral_norm.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "core/base/rows.h"

namespace millrace {
namespace {

const float* RowOf(const Slice& weight, std::span<const float> parameters, int r) {
  return parameters.data() + weight.offset + static_cast<std::size_t>(r) * weight.ld;
}

// Divides by the length, which is returned.
double Normalise(std::vector<double>& v) {
  double square = 0.0;
  for (const double x : v) square += x * x;
  const double length = std::sqrt(square);
  if (length > 0.0)
    for (double& x : v) x /= length;
  return length;
}

// W W^T or W^T W, whichever is smaller.
Rows<double> Gram(const Slice& weight, std::span<const float> parameters) {
  const bool by_rows = weight.rows <= weight.cols;
  const int n = by_rows ? weight.rows : weight.cols;
  Rows<double> gram(n, n);
  if (by_rows) {
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j)
        for (int c = 0; c < weight.cols; ++c)
          gram(i, j) += static_cast<double>(RowOf(weight, parameters, i)[c]) *
                        RowOf(weight, parameters, j)[c];
  } else {
    for (int r = 0; r < weight.rows; ++r)
      for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
          gram(i, j) += static_cast<double>(RowOf(weight, parameters, r)[i]) *
                        RowOf(weight, parameters, r)[j];
  }
  return gram;
}

Rows<double> Square(const Rows<double>& m) {
  const int n = m.cols();
  Rows<double> square(n, n);
  for (int i = 0; i < n; ++i)
    for (int k = 0; k < n; ++k)
      for (int j = 0; j < n; ++j) square(i, j) += m(i, k) * m(k, j);
  return square;
}

// Divides by the Frobenius norm, which is returned.
double Normalise(Rows<double>& m) {
  double square = 0.0;
  for (int i = 0; i < m.rows(); ++i)
    for (const double x : m.view().row(i)) square += x * x;
  const double norm = std::sqrt(square);
  for (int i = 0; i < m.rows() && norm > 0.0; ++i)
    for (double& x : m.view().row(i)) x /= norm;
  return norm;
}

}  // namespace

double EstimateSpectralNorm(const Slice& weight, std::span<const float> parameters, int iterations,
                            std::span<float> direction) {
  std::vector<double> u(direction.begin(), direction.begin() + weight.rows);
  if (Normalise(u) == 0.0) {
    // No symmetry of its own that a matrix might have.
    for (int r = 0; r < weight.rows; ++r) u[r] = std::cos(1.0 + r);
    Normalise(u);
  }
  double norm = 0.0;
  for (int step = 0; step < iterations; ++step) {
    std::vector<double> v(weight.cols);
    for (int r = 0; r < weight.rows; ++r)
      for (int c = 0; c < weight.cols; ++c) v[c] += u[r] * RowOf(weight, parameters, r)[c];
    if (Normalise(v) == 0.0) break;
    for (int r = 0; r < weight.rows; ++r) {
      u[r] = 0.0;
      for (int c = 0; c < weight.cols; ++c) u[r] += v[c] * RowOf(weight, parameters, r)[c];
    }
    norm = Normalise(u);
  }
  for (int r = 0; r < weight.rows; ++r) direction[r] = static_cast<float>(u[r]);
  return norm;
}

// The Frobenius norm of the m-th power of a Gram matrix is the m-th power of its largest eigenvalue
// times a factor in [1, sqrt(n)]; m = 256 makes that at most n^(1 / 1024) of the singular value.
double BoundSpectralNorm(const Slice& weight, std::span<const float> parameters) {
  constexpr int kSquarings = 8;
  Rows<double> power = Gram(weight, parameters);
  double log_norm = 0.0;
  double exponent = 0.5;
  for (int step = 0;; ++step) {
    const double norm = Normalise(power);
    if (!(norm > 0.0)) return norm;
    log_norm += exponent * std::log(norm);
    if (step == kSquarings) return std::exp(log_norm);
    power = Square(power);
    exponent *= 0.5;
  }
}

}  // namespace millrace
