// SPDX-License-Identifier: Apache-2.0
// Scalar bijections column by column.
#include <algorithm>
#include <array>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/formula_calls.h"
#include "core/cpu/one_row.h"
#include "core/exec/formulas.h"

namespace millrace {

using cpu::AddTo;
using cpu::Column;
using cpu::PaddedRows;
using cpu::ToPack;

namespace {

// The parameters of one pack of rows, for value `column`.
template <typename F>
void LoadTheta(const F& formula, ConstMatrix theta, int column, int row, Pack* values) {
  const int p = formula.parameters();
  for (int k = 0; k < p; ++k) values[k] = Pack::Load(Column(theta, column * p + k) + row);
}

template <typename F>
void StoreTheta(const F& formula, const Pack* values, int column, int row, Matrix theta) {
  const int p = formula.parameters();
  for (int k = 0; k < p; ++k) values[k].Store(Column(theta, column * p + k) + row);
}

// Whether the formula leaves all rows of a column as they are: only few are in its tails.
template <typename F>
bool IsIdentityOn(const F&, const float* column, int padded_rows) {
  if constexpr (requires { F::kIdentityWithin; }) {
    Pack largest(0.0f);
    for (int r = 0; r < padded_rows; r += Pack::kWidth) {
      const Pack size = Abs(Pack::Load(column + r));
      largest = Select(size > largest, size, largest);
    }
    for (int i = 0; i < Pack::kWidth; ++i)
      if (!(largest.v[i] <= F::kIdentityWithin)) return false;
    return true;
  }
  return false;
}

// The parameters of a pack of columns, theta flat.
void LoadThetaOfColumns(int p, const float* theta, int lanes, Pack* values) {
  if (p == 2) {
    // Both packs may be read whole: Arena::NewFlat.
    const Pack low = cpu::LoadUnaligned(theta), high = cpu::LoadUnaligned(theta + Pack::kWidth);
    Pack::Ints even;
    for (int i = 0; i < Pack::kWidth; ++i) even[i] = 2 * i;
    values[0] = __builtin_shuffle(low.v, high.v, even);
    values[1] = __builtin_shuffle(low.v, high.v, even + 1);
    return;
  }
  for (int k = 0; k < p; ++k) {
    values[k] = Pack(0.0f);
    for (int i = 0; i < lanes; ++i) values[k].v[i] = theta[i * p + k];
  }
}

// map(x, theta) on every value of a block, in place.
template <typename F, typename Map>
void MapBlock(const F& formula, const Map& map, ConstMatrix theta, Matrix x, Vector log_det) {
  Pack values[kMaxTheta];
  for (int c = 0; c < x.cols; ++c) {
    float* column = Column(x, c);
    if (IsIdentityOn(formula, column, PaddedRows(x))) continue;
    for (int r = 0; r < PaddedRows(x); r += Pack::kWidth) {
      LoadTheta(formula, theta, c, r, values);
      const Mapped<Pack> mapped = map(Pack::Load(column + r), values);
      mapped.value.Store(column + r);
      AddTo(log_det.data + r, mapped.log_det);
    }
  }
}

// The same of a flat row: columns along the lanes.
template <typename F, typename Map>
void MapRow(const F& formula, const Map& map, const ConstMatrix& theta, const Matrix& x,
            Vector log_det) {
  const int p = formula.parameters();
  double sum = log_det.data[0];
  Pack values[kMaxTheta];
  cpu::ForPacksOfColumns(x.cols, [&](int c, int lanes) {
    LoadThetaOfColumns(p, Column(theta, c * p), lanes, values);
    const Mapped<Pack> mapped = map(cpu::LoadColumns(x, c, lanes), values);
    cpu::StoreColumns(mapped.value, lanes, c, x);
    for (int i = 0; i < lanes; ++i) sum += static_cast<double>(mapped.log_det.v[i]);
  });
  log_det.data[0] = sum;
}

template <typename F, typename Map>
void MapColumns(const F& formula, const Map& map, const ConstMatrix& theta, const Matrix& x,
                Vector log_det) {
  if (x.IsFlat())
    MapRow(formula, map, theta, x, log_det);
  else
    MapBlock(formula, map, theta, x, log_det);
}

// grad = adjoint(x, theta, grad, log_det_bar, theta_bar) for every value.
template <typename F, typename Adjoint>
void AdjointColumns(const F& formula, const Adjoint& adjoint, ConstMatrix theta, ConstMatrix x,
                    ConstVector log_det_bar, Matrix grad, Matrix theta_bar) {
  Pack values[kMaxTheta];
  Pack bars[kMaxTheta];
  for (int c = 0; c < grad.cols; ++c) {
    const float* column = Column(x, c);
    float* bar = Column(grad, c);
    if (IsIdentityOn(formula, column, PaddedRows(grad))) continue;
    for (int r = 0; r < PaddedRows(grad); r += Pack::kWidth) {
      LoadTheta(formula, theta, c, r, values);
      adjoint(Pack::Load(column + r), values, Pack::Load(bar + r), ToPack(log_det_bar.data + r),
              bars)
          .Store(bar + r);
      StoreTheta(formula, bars, c, r, theta_bar);
    }
  }
}

}  // namespace

void CpuKernels::BijectionForward(ScalarBijection bijection, const ConstMatrix& theta,
                                  const Matrix& x, Vector log_det) const {
  WithFormula(bijection, [&](const auto& f) {
    MapColumns(
        f, [&](Pack v, const Pack* t) { return cpu::Forward(f, v, t); }, theta, x, log_det);
  });
}

void CpuKernels::BijectionInverse(ScalarBijection bijection, const ConstMatrix& theta,
                                  const Matrix& z, Vector log_det) const {
  WithFormula(bijection, [&](const auto& f) {
    MapColumns(
        f, [&](Pack v, const Pack* t) { return cpu::Inverse(f, v, t); }, theta, z, log_det);
  });
}

void CpuKernels::BijectionAdjoint(ScalarBijection bijection, const ConstMatrix& theta,
                                  const ConstMatrix& x, ConstVector log_det_bar, const Matrix& grad,
                                  const Matrix& theta_bar) const {
  WithFormula(bijection, [&](const auto& f) {
    const auto adjoint = [&](Pack v, const Pack* t, Pack bar, Pack log_bar, Pack* t_bar) {
      return f.Adjoint(v, t, bar, log_bar, t_bar);
    };
    AdjointColumns(f, adjoint, theta, x, log_det_bar, grad, theta_bar);
  });
}

void CpuKernels::BijectionAdjointSolve(ScalarBijection bijection, const ConstMatrix& theta,
                                       const ConstMatrix& x, ConstVector log_det_bar,
                                       const Matrix& grad, const Matrix& theta_bar) const {
  WithFormula(bijection, [&](const auto& f) {
    const auto adjoint = [&](Pack v, const Pack* t, Pack bar, Pack log_bar, Pack* t_bar) {
      return AdjointSolve(f, v, t, bar, log_bar, t_bar);
    };
    AdjointColumns(f, adjoint, theta, x, log_det_bar, grad, theta_bar);
  });
}

void CpuKernels::LogScalePenaltyAdjoint(ScalarBijection bijection, const ConstMatrix& theta,
                                        ConstVector log_det_bar, double penalty,
                                        const Matrix& theta_bar) const {
  if (bijection.kind != ScalarBijection::Kind::kAffine) return;
  const Pack weight(static_cast<float>(penalty));
  for (int c = 1; c < theta.cols; c += 2) {
    const float* a = Column(theta, c);
    float* a_bar = Column(theta_bar, c);
    for (int r = 0; r < PaddedRows(theta); r += Pack::kWidth) {
      const Pack added =
          millrace::LogScalePenaltyAdjoint(Pack::Load(a + r), ToPack(log_det_bar.data + r), weight);
      (Pack::Load(a_bar + r) + added).Store(a_bar + r);
    }
  }
}

void CpuKernels::Broadcast(Slice slice, Weights weights, const Matrix& theta) const {
  const float* values = cpu::Data(weights, slice);
  if (theta.IsFlat()) {
    std::copy_n(values, theta.cols, cpu::Data(theta));
    return;
  }
  for (int c = 0; c < theta.cols; ++c) std::fill_n(Column(theta, c), PaddedRows(theta), values[c]);
}

void CpuKernels::BroadcastAdjoint(Slice slice, const ConstMatrix& theta_bar, float sign,
                                  Gradients gradients) const {
  float* bar = cpu::Data(gradients, slice);
  for (int c = 0; c < theta_bar.cols; ++c)
    bar[c] += sign * cpu::SumRows(Column(theta_bar, c), theta_bar.rows);
}

void CpuKernels::StatisticsAdjoint(Slice statistics, Weights weights, const ConstMatrix& x,
                                   double share, Gradients gradients) const {
  const float* const values = cpu::Data(weights, statistics);
  float* const bar = cpu::Data(gradients, statistics);
  for (int c = 0; c < x.cols; ++c) {
    const float* const column = Column(x, c);
    double sum = 0.0, squares = 0.0;
    for (int r = 0; r < x.rows; ++r) {
      const double deviation = static_cast<double>(column[r]) - values[2 * c];
      sum += deviation;
      squares += deviation * deviation - values[2 * c + 1];
    }
    bar[2 * c] += static_cast<float>(share * sum);
    bar[2 * c + 1] += static_cast<float>(share * squares);
  }
}

}  // namespace millrace
