// SPDX-License-Identifier: Apache-2.0
// What residual flows need beside dense layers: Jacobians of rows and fixed points.
#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/pack_row.h"
#include "core/math/row_lu.h"

namespace millrace {

using cpu::AddTo;
using cpu::Column;
using cpu::ConstPackRow;
using cpu::PackRow;
using cpu::PaddedRows;

void CpuKernels::FactoriseJacobian(double sign, const Matrix& jacobian, int dim,
                                   Vector log_det) const {
  for (int r = 0; r < PaddedRows(jacobian); r += Pack::kWidth) {
    const Pack log_abs = FactoriseIdentityPlus(PackRow(jacobian, r), dim);
    AddTo(log_det.data + r, log_abs * Pack(static_cast<float>(sign)));
  }
}

void CpuKernels::JacobianTransposedSolve(const ConstMatrix& lu, const Matrix& grad) const {
  for (int r = 0; r < PaddedRows(grad); r += Pack::kWidth)
    SolveTransposed(ConstPackRow(lu, r), grad.cols, PackRow(grad, r));
}

bool CpuKernels::FixedPointStep(const ConstMatrix& z, const ConstMatrix& g, const Matrix& moving,
                                const Matrix& x) const {
  constexpr float kTolerance = 1e-6f;
  bool any = false;
  for (int r = 0; r < PaddedRows(x); r += Pack::kWidth) {
    float* const still = Column(moving, 0) + r;
    const PackMask moves = Pack::Load(still) > Pack(0.0f);
    Pack change(0.0f), size(1.0f);
    for (int c = 0; c < x.cols; ++c) {
      const Pack before = Pack::Load(Column(x, c) + r);
      const Pack next = Pack::Load(Column(z, c) + r) - Pack::Load(Column(g, c) + r);
      change = Max(change, Abs(next - before));
      size = Max(size, Abs(next));
      Select(moves, next, before).Store(Column(x, c) + r);
    }
    const Pack left = Select(change > Pack(kTolerance) * size, Pack::Load(still), Pack(0.0f));
    left.Store(still);
    for (int i = 0; i < Pack::kWidth && r + i < x.rows; ++i) any = any || left.v[i] > 0.0f;
  }
  return any;
}

void CpuKernels::Spread(ConstVector from, const Matrix& to) const {
  for (int r = 0; r < PaddedRows(to); ++r) Column(to, 0)[r] = static_cast<float>(from.data[r]);
}

}  // namespace millrace
