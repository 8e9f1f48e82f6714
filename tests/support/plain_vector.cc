// SPDX-License-Identifier: Apache-2.0
// Bijections of whole rows on the plain kernels.
#include <vector>

#include "core/exec/vector_formulas.h"
#include "tests/support/plain_kernels.h"
#include "tests/support/plain_views.h"

namespace millrace {
namespace {

std::vector<double> RowOf(const ConstMatrix& m, int r) {
  std::vector<double> row(m.cols);
  for (int c = 0; c < m.cols; ++c) row[c] = At(m, r, c);
  return row;
}

void SetRow(const std::vector<double>& row, int r, const Matrix& m) {
  for (int c = 0; c < m.cols; ++c) At(m, r, c) = row[c];
}

ArrayRow<double> View(std::vector<double>& row) { return {row.data()}; }

struct Prepared {
  template <typename F>
  Prepared(const F& formula, Slice slice, Weights weights)
      : theta(formula.parameters()), p(formula.prepared()), work(formula.workspace()) {
    for (int i = 0; i < formula.parameters(); ++i) theta[i] = At(weights, slice, 0, i);
    formula.Prepare(theta.data(), p.data(), work.data());
  }
  std::vector<double> theta, p, work;
};

}  // namespace

void PlainKernels::VectorForward(VectorBijection bijection, Slice theta, Weights weights, Arena&,
                                 const Matrix& x, Vector log_det) const {
  WithFormula(bijection, x.cols, [&](const auto& f) {
    const Prepared prepared(f, theta, weights);
    for (int r = 0; r < x.rows; ++r) {
      std::vector<double> row = RowOf(x, r);
      log_det.data[r] += f.Forward(prepared.p.data(), View(row));
      SetRow(row, r, x);
    }
  });
}

void PlainKernels::VectorInverse(VectorBijection bijection, Slice theta, Weights weights, Arena&,
                                 const Matrix& z, Vector log_det) const {
  WithFormula(bijection, z.cols, [&](const auto& f) {
    const Prepared prepared(f, theta, weights);
    for (int r = 0; r < z.rows; ++r) {
      std::vector<double> row = RowOf(z, r);
      log_det.data[r] += f.Inverse(prepared.p.data(), View(row));
      SetRow(row, r, z);
    }
  });
}

void PlainKernels::VectorAdjoint(VectorBijection bijection, Slice theta, Weights weights,
                                 const ConstMatrix& x, ConstVector log_det_bar, float sign, Arena&,
                                 const Matrix& grad, Gradients gradients) const {
  WithFormula(bijection, x.cols, [&](const auto& f) {
    Prepared prepared(f, theta, weights);
    std::vector<double> p_bar(f.prepared());
    for (int r = 0; r < x.rows; ++r) {
      std::vector<double> row = RowOf(x, r);
      std::vector<double> bar = RowOf(grad, r);
      f.Adjoint(prepared.p.data(), View(row), View(bar), log_det_bar.data[r], p_bar.data());
      SetRow(bar, r, grad);
    }
    if (gradients.empty()) return;
    std::vector<double> theta_bar(f.parameters());
    f.PrepareAdjoint(prepared.theta.data(), prepared.p.data(), prepared.work.data(), p_bar.data(),
                     theta_bar.data());
    for (int i = 0; i < f.parameters(); ++i) At(gradients, theta, 0, i) += sign * theta_bar[i];
  });
}

void PlainKernels::VectorTransposedSolve(VectorBijection bijection, Slice theta, Weights weights,
                                         const ConstMatrix& x, Arena&, const Matrix& grad) const {
  WithFormula(bijection, x.cols, [&](const auto& f) {
    const Prepared prepared(f, theta, weights);
    for (int r = 0; r < x.rows; ++r) {
      std::vector<double> row = RowOf(x, r);
      std::vector<double> v = RowOf(grad, r);
      f.TransposedSolve(prepared.p.data(), View(row), View(v));
      SetRow(v, r, grad);
    }
  });
}

}  // namespace millrace
