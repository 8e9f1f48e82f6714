// SPDX-License-Identifier: Apache-2.0
// y = L U x + b and its inverse by substitution, blocked so that all but a small triangle around
// the diagonal is a matrix product.
#include <algorithm>
#include <cmath>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/gemm.h"
#include "core/cpu/outer_product.h"
#include "core/math/affine.h"

namespace millrace {
namespace {

using cpu::Column;
using cpu::Data;
using cpu::PaddedRows;
using gemm::Range;

constexpr int kSolveBlock = 8;

// How A(m, k) of a triangular matrix is read: as stored or transposed.
struct Triangle {
  const float* data;
  std::ptrdiff_t m, k;
};

Triangle Plain(Weights weights, const Slice& slice) { return {Data(weights, slice), slice.ld, 1}; }
Triangle Transposed(Weights weights, const Slice& slice) {
  return {Data(weights, slice), 1, slice.ld};
}

gemm::Operands Between(const Triangle& a, ConstMatrix from, Matrix to) {
  return {a.data, a.m, a.k, Data(from), from.stride, Data(to), to.stride};
}

// to += (strictly lower or upper A) from.
void AddLower(const Triangle& a, ConstMatrix from, Matrix to) {
  const Range rows{0, PaddedRows(to)};
  gemm::Multiply(
      Between(a, from, to), 0, to.cols,
      [](int m, int count) {
        return Range{0, m + count - 1};
      },
      [&](int, int) { return rows; }, gemm::Accumulate<Identity>{});
}

void AddUpper(const Triangle& a, ConstMatrix from, Matrix to) {
  const Range rows{0, PaddedRows(to)};
  gemm::Multiply(
      Between(a, from, to), 0, to.cols,
      [&](int m, int) {
        return Range{m + 1, to.cols};
      },
      [&](int, int) { return rows; }, gemm::Accumulate<Identity>{});
}

float Diagonal(Weights weights, const LuLayer& layer, int i) {
  return std::exp(SoftClip(Data(weights, layer.log_diagonal)[i], kLogDiagonalBound));
}

double LogDiagonal(Weights weights, const LuLayer& layer, int i) {
  return SoftClip(static_cast<double>(Data(weights, layer.log_diagonal)[i]), kLogDiagonalBound);
}

double LogDiagonalSum(Weights weights, const LuLayer& layer) {
  double sum = 0.0;
  for (int i = 0; i < layer.lower.rows; ++i) sum += LogDiagonal(weights, layer, i);
  return sum;
}

void AddConstant(double value, Vector to) {
  for (int r = 0; r < to.size; ++r) to.data[r] += value;
}

// column = column * factor + addend
void ScaleColumn(Matrix x, int c, float factor, float addend) {
  float* column = Column(x, c);
  for (int r = 0; r < PaddedRows(x); r += Pack::kWidth)
    (Pack::Load(column + r) * Pack(factor) + Pack(addend)).Store(column + r);
}

// x_m -= sum of A(m, k) x_k, all m of [begin, end), all k of `k`.
void Subtract(const Triangle& a, int begin, int end, Range k, Matrix x) {
  const Range rows{0, PaddedRows(x)};
  gemm::Multiply(
      Between(a, x, x), begin, end, [&](int, int) { return k; }, [&](int, int) { return rows; },
      gemm::AccumulateScaled{-1.0f});
}

// Solves (A + D) x = y in place, A strictly lower, finish(m) dividing by the diagonal.
template <typename Finish>
void SolveLower(const Triangle& a, Matrix x, const Finish& finish) {
  for (int begin = 0; begin < x.cols; begin += kSolveBlock) {
    const int end = std::min(x.cols, begin + kSolveBlock);
    Subtract(a, begin, end, {0, begin}, x);
    for (int m = begin; m < end; ++m) {
      Subtract(a, m, m + 1, {begin, m}, x);
      finish(m);
    }
  }
}

// The same for A strictly upper.
template <typename Finish>
void SolveUpper(const Triangle& a, Matrix x, const Finish& finish) {
  for (int end = x.cols; end > 0; end -= kSolveBlock) {
    const int begin = std::max(0, end - kSolveBlock);
    Subtract(a, begin, end, {end, x.cols}, x);
    for (int m = end - 1; m >= begin; --m) {
      Subtract(a, m, m + 1, {m + 1, end}, x);
      finish(m);
    }
  }
}

}  // namespace

void CpuKernels::LuForward(const LuLayer& layer, Weights weights, const Matrix& x,
                           const Matrix& scratch, Vector log_det, Vectors column_log_det) const {
  Copy(x, scratch);
  for (int c = 0; c < x.cols; ++c) ScaleColumn(scratch, c, Diagonal(weights, layer, c), 0.0f);
  AddUpper(Plain(weights, layer.upper), x, scratch);
  Copy(scratch, x);
  for (int c = 0; c < x.cols; ++c) ScaleColumn(x, c, 1.0f, Data(weights, layer.bias)[c]);
  AddLower(Plain(weights, layer.lower), scratch, x);
  if (column_log_det.empty()) AddConstant(LogDiagonalSum(weights, layer), log_det);
  for (int c = 0; c < (column_log_det.empty() ? 0 : x.cols); ++c)
    AddConstant(LogDiagonal(weights, layer, c), column_log_det[c]);
}

void CpuKernels::LuInverse(const LuLayer& layer, Weights weights, const Matrix& z, Vector log_det,
                           Vectors column_log_det) const {
  for (int c = 0; c < z.cols; ++c) ScaleColumn(z, c, 1.0f, -Data(weights, layer.bias)[c]);
  SolveLower(Plain(weights, layer.lower), z, [](int) {});
  SolveUpper(Plain(weights, layer.upper), z,
             [&](int m) { ScaleColumn(z, m, 1.0f / Diagonal(weights, layer, m), 0.0f); });
  if (column_log_det.empty()) AddConstant(-LogDiagonalSum(weights, layer), log_det);
  for (int c = 0; c < (column_log_det.empty() ? 0 : z.cols); ++c)
    AddConstant(-LogDiagonal(weights, layer, c), column_log_det[c]);
}

void CpuKernels::LuAdjoint(const LuLayer& layer, Weights weights, const ConstMatrix& x,
                           ConstVector log_det_bar, float sign, Arena& arena, const Matrix& grad,
                           Gradients gradients) const {
  const Arena::Scope scope(arena);
  // t = U x and t_bar = L^T y_bar.
  const Matrix t = arena.NewMatrix(x.rows, x.cols);
  const Matrix t_bar = arena.NewMatrix(x.rows, x.cols);
  Copy(grad, t_bar);
  AddUpper(Transposed(weights, layer.lower), grad, t_bar);
  if (!gradients.empty()) {
    Copy(x, t);
    for (int c = 0; c < x.cols; ++c) ScaleColumn(t, c, Diagonal(weights, layer, c), 0.0f);
    AddUpper(Plain(weights, layer.upper), x, t);
    BroadcastAdjoint(layer.bias, grad, sign, gradients);
    cpu::AddOuterProduct(
        grad, t, sign,
        [](int o) {
          return Range{0, o};
        },
        arena, layer.lower, gradients);
    cpu::AddOuterProduct(
        t_bar, x, sign,
        [&](int o) {
          return Range{o + 1, x.cols};
        },
        arena, layer.upper, gradients);
    float* const log_diagonal_bar = Data(gradients, layer.log_diagonal);
    double log_det_sum = 0.0;
    for (int r = 0; r < log_det_bar.size; ++r) log_det_sum += log_det_bar.data[r];
    for (int c = 0; c < x.cols; ++c) {
      double product = 0.0;
      for (int r = 0; r < x.rows; ++r)
        product += static_cast<double>(Column(t_bar, c)[r]) * Column(x, c)[r];
      const double clip = SoftClipDerivative(
          static_cast<double>(Data(weights, layer.log_diagonal)[c]), kLogDiagonalBound);
      log_diagonal_bar[c] +=
          static_cast<float>(sign * clip * (product * Diagonal(weights, layer, c) + log_det_sum));
    }
  }
  // x_bar = U^T t_bar
  Copy(t_bar, grad);
  for (int c = 0; c < x.cols; ++c) ScaleColumn(grad, c, Diagonal(weights, layer, c), 0.0f);
  AddLower(Transposed(weights, layer.upper), t_bar, grad);
}

void CpuKernels::LuTransposedSolve(const LuLayer& layer, Weights weights,
                                   const Matrix& grad) const {
  SolveLower(Transposed(weights, layer.upper), grad,
             [&](int m) { ScaleColumn(grad, m, 1.0f / Diagonal(weights, layer, m), 0.0f); });
  SolveUpper(Transposed(weights, layer.lower), grad, [](int) {});
}

}  // namespace millrace
