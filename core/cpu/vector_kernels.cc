// SPDX-License-Identifier: Apache-2.0
// Bijections of whole rows: what rows need of the parameters is prepared in double once a call,
// then packs of rows go through the formulas.
#include <algorithm>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/pack_row.h"
#include "core/exec/vector_formulas.h"

namespace millrace {
namespace {

using cpu::AddTo;
using cpu::LivePackRow;
using cpu::PackRow;
using cpu::PaddedRows;
using cpu::ToPack;

// Parameters as formulas want them; memory from the arena.
template <typename F>
class Prepared {
 public:
  Prepared(const F& formula, Slice slice, Weights weights, Arena& arena)
      : formula_(formula),
        theta_(arena.NewVector(formula.parameters()).data),
        p_(arena.NewVector(formula.prepared()).data),
        work_(arena.NewVector(formula.workspace()).data),
        floats_(cpu::Data(arena.NewMatrix(formula.prepared(), 1))) {
    std::copy_n(cpu::Data(weights, slice), formula.parameters(), theta_);
    formula.Prepare(theta_, p_, work_);
    std::copy_n(p_, formula.prepared(), floats_);
  }

  const float* floats() const { return floats_; }

  // Adds `sign` times the adjoint of the preparation; p_bar, one pack a number, in lanes.
  void AddGradient(const Pack* p_bar, float sign, Slice slice, Arena& arena,
                   Gradients gradients) const {
    double* const sums = arena.NewVector(formula_.prepared()).data;
    double* const theta_bar = arena.NewVector(formula_.parameters()).data;
    for (int i = 0; i < formula_.prepared(); ++i) {
      sums[i] = 0.0;
      for (int lane = 0; lane < Pack::kWidth; ++lane) sums[i] += p_bar[i].v[lane];
    }
    std::fill_n(theta_bar, formula_.parameters(), 0.0);
    formula_.PrepareAdjoint(theta_, p_, work_, sums, theta_bar);
    float* const to = cpu::Data(gradients, slice);
    for (int i = 0; i < formula_.parameters(); ++i)
      to[i] += sign * static_cast<float>(theta_bar[i]);
  }

 private:
  const F& formula_;
  double* theta_;
  double* p_;
  double* work_;
  float* floats_;
};

}  // namespace

void CpuKernels::VectorForward(VectorBijection bijection, Slice theta, Weights weights,
                               Arena& arena, const Matrix& x, Vector log_det) const {
  const Arena::Scope scope(arena);
  WithFormula(bijection, x.cols, [&](const auto& f) {
    const Prepared prepared(f, theta, weights, arena);
    for (int r = 0; r < PaddedRows(x); r += Pack::kWidth)
      AddTo(log_det.data + r, f.Forward(prepared.floats(), PackRow(x, r)));
  });
}

void CpuKernels::VectorInverse(VectorBijection bijection, Slice theta, Weights weights,
                               Arena& arena, const Matrix& z, Vector log_det) const {
  const Arena::Scope scope(arena);
  WithFormula(bijection, z.cols, [&](const auto& f) {
    const Prepared prepared(f, theta, weights, arena);
    for (int r = 0; r < PaddedRows(z); r += Pack::kWidth)
      AddTo(log_det.data + r, f.Inverse(prepared.floats(), PackRow(z, r)));
  });
}

void CpuKernels::VectorAdjoint(VectorBijection bijection, Slice theta, Weights weights,
                               const ConstMatrix& x, ConstVector log_det_bar, float sign,
                               Arena& arena, const Matrix& grad, Gradients gradients) const {
  const Arena::Scope scope(arena);
  WithFormula(bijection, x.cols, [&](const auto& f) {
    const Prepared prepared(f, theta, weights, arena);
    Pack* p_bar = nullptr;
    if (!gradients.empty()) {
      float* const sums = cpu::Data(arena.NewMatrix(f.prepared() * Pack::kWidth, 1));
      p_bar = reinterpret_cast<Pack*>(sums);
      std::fill_n(p_bar, f.prepared(), Pack(0.0f));
    }
    for (int r = 0; r < PaddedRows(x); r += Pack::kWidth) {
      const PackMask live = cpu::Live(r, x.rows);
      const PackRow bar(grad, r);
      for (int c = 0; c < grad.cols; ++c) bar.Set(c, Select(live, bar[c], Pack(0.0f)));
      f.Adjoint(prepared.floats(), LivePackRow(x, r), bar,
                Select(live, ToPack(log_det_bar.data + r), Pack(0.0f)), p_bar);
    }
    if (p_bar != nullptr) prepared.AddGradient(p_bar, sign, theta, arena, gradients);
  });
}

void CpuKernels::VectorTransposedSolve(VectorBijection bijection, Slice theta, Weights weights,
                                       const ConstMatrix& x, Arena& arena,
                                       const Matrix& grad) const {
  const Arena::Scope scope(arena);
  WithFormula(bijection, x.cols, [&](const auto& f) {
    const Prepared prepared(f, theta, weights, arena);
    for (int r = 0; r < PaddedRows(x); r += Pack::kWidth)
      f.TransposedSolve(prepared.floats(), LivePackRow(x, r), PackRow(grad, r));
  });
}

}  // namespace millrace
