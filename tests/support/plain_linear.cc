// SPDX-License-Identifier: Apache-2.0
// The LU layer of the plain kernels: y = L U x + b.
#include <cmath>

#include "core/exec/arena.h"
#include "core/math/affine.h"
#include "tests/support/plain_kernels.h"
#include "tests/support/plain_views.h"

namespace millrace {
namespace {

double LogDiagonal(const LuLayer& layer, Weights weights, int i) {
  return SoftClip(At(weights, layer.log_diagonal, 0, i), kLogDiagonalBound);
}

// x = U x, row by row.
void MultiplyUpper(const LuLayer& layer, Weights weights, const Matrix& x) {
  for (int r = 0; r < x.rows; ++r) {
    for (int i = 0; i < x.cols; ++i) {
      double sum = std::exp(LogDiagonal(layer, weights, i)) * At(x, r, i);
      for (int j = i + 1; j < x.cols; ++j) sum += At(weights, layer.upper, i, j) * At(x, r, j);
      At(x, r, i) = sum;
    }
  }
}

}  // namespace

void PlainKernels::LuForward(const LuLayer& layer, Weights weights, const Matrix& x, const Matrix&,
                             Vector log_det, Vectors column_log_det) const {
  MultiplyUpper(layer, weights, x);
  for (int r = 0; r < x.rows; ++r) {
    for (int i = x.cols - 1; i >= 0; --i) {
      double sum = At(x, r, i);
      for (int j = 0; j < i; ++j) sum += At(weights, layer.lower, i, j) * At(x, r, j);
      At(x, r, i) = sum + At(weights, layer.bias, 0, i);
      (column_log_det.empty() ? log_det : column_log_det[i]).data[r] +=
          LogDiagonal(layer, weights, i);
    }
  }
}

void PlainKernels::LuInverse(const LuLayer& layer, Weights weights, const Matrix& z, Vector log_det,
                             Vectors column_log_det) const {
  for (int r = 0; r < z.rows; ++r) {
    for (int i = 0; i < z.cols; ++i) {
      double sum = At(z, r, i) - At(weights, layer.bias, 0, i);
      for (int j = 0; j < i; ++j) sum -= At(weights, layer.lower, i, j) * At(z, r, j);
      At(z, r, i) = sum;
    }
    for (int i = z.cols - 1; i >= 0; --i) {
      double sum = At(z, r, i);
      for (int j = i + 1; j < z.cols; ++j) sum -= At(weights, layer.upper, i, j) * At(z, r, j);
      At(z, r, i) = sum * std::exp(-LogDiagonal(layer, weights, i));
      (column_log_det.empty() ? log_det : column_log_det[i]).data[r] -=
          LogDiagonal(layer, weights, i);
    }
  }
}

void PlainKernels::LuAdjoint(const LuLayer& layer, Weights weights, const ConstMatrix& x,
                             ConstVector log_det_bar, float sign, Arena& arena, const Matrix& grad,
                             Gradients gradients) const {
  const Arena::Scope scope(arena);
  const int dim = x.cols;
  const Matrix u = arena.NewMatrix(x.rows, dim);  // U x
  Copy(x, u);
  MultiplyUpper(layer, weights, u);
  const auto add = [&](const Slice& slice, int i, int j, double bar) {
    if (!gradients.empty()) At(gradients, slice, i, j) += sign * bar;
  };
  for (int r = 0; r < x.rows; ++r) {
    for (int i = 0; i < dim; ++i) {
      add(layer.bias, 0, i, At(grad, r, i));
      for (int j = 0; j < i; ++j) add(layer.lower, i, j, At(grad, r, i) * At(u, r, j));
    }
    for (int j = 0; j < dim; ++j)  // grad = L^T grad
      for (int i = j + 1; i < dim; ++i)
        At(grad, r, j) += At(weights, layer.lower, i, j) * At(grad, r, i);
    for (int i = 0; i < dim; ++i) {
      for (int j = i + 1; j < dim; ++j) add(layer.upper, i, j, At(grad, r, i) * At(x, r, j));
      const double a = At(weights, layer.log_diagonal, 0, i);
      const double s_bar = At(grad, r, i) * At(x, r, i) * std::exp(SoftClip(a, kLogDiagonalBound)) +
                           log_det_bar.data[r];
      add(layer.log_diagonal, 0, i, s_bar * SoftClipDerivative(a, kLogDiagonalBound));
    }
    for (int j = dim - 1; j >= 0; --j) {  // grad = U^T grad
      double sum = std::exp(LogDiagonal(layer, weights, j)) * At(grad, r, j);
      for (int i = 0; i < j; ++i) sum += At(weights, layer.upper, i, j) * At(grad, r, i);
      At(grad, r, j) = sum;
    }
  }
}

void PlainKernels::LuTransposedSolve(const LuLayer& layer, Weights weights,
                                     const Matrix& grad) const {
  const int dim = grad.cols;
  for (int r = 0; r < grad.rows; ++r) {
    for (int j = 0; j < dim; ++j) {  // grad = U^-T grad
      double sum = At(grad, r, j);
      for (int i = 0; i < j; ++i) sum -= At(weights, layer.upper, i, j) * At(grad, r, i);
      At(grad, r, j) = sum * std::exp(-LogDiagonal(layer, weights, j));
    }
    for (int j = dim - 1; j >= 0; --j)  // grad = L^-T grad
      for (int i = j + 1; i < dim; ++i)
        At(grad, r, j) -= At(weights, layer.lower, i, j) * At(grad, r, i);
  }
}

}  // namespace millrace
