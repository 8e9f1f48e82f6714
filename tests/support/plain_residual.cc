// SPDX-License-Identifier: Apache-2.0
// What residual flows need, on the plain kernels.
#include <algorithm>
#include <cmath>

#include "core/math/row_lu.h"
#include "tests/support/plain_kernels.h"
#include "tests/support/plain_views.h"

namespace millrace {
namespace {

struct PlainRow {
  using Value = double;
  Matrix m;
  int r;
  double operator[](int c) const { return At(m, r, c); }
  void Set(int c, double value) const { At(m, r, c) = value; }
};

struct ConstPlainRow {
  using Value = double;
  ConstMatrix m;
  int r;
  double operator[](int c) const { return At(m, r, c); }
};

}  // namespace

void PlainKernels::FactoriseJacobian(double sign, const Matrix& jacobian, int dim,
                                     Vector log_det) const {
  for (int r = 0; r < jacobian.rows; ++r)
    log_det.data[r] += sign * FactoriseIdentityPlus(PlainRow{jacobian, r}, dim);
}

void PlainKernels::JacobianTransposedSolve(const ConstMatrix& lu, const Matrix& grad) const {
  for (int r = 0; r < grad.rows; ++r)
    SolveTransposed(ConstPlainRow{lu, r}, grad.cols, PlainRow{grad, r});
}

bool PlainKernels::FixedPointStep(const ConstMatrix& z, const ConstMatrix& g, const Matrix& moving,
                                  const Matrix& x) const {
  bool any = false;
  for (int r = 0; r < x.rows; ++r) {
    double change = 0.0, size = 1.0;
    for (int c = 0; c < x.cols && At(moving, r, 0) > 0.0; ++c) {
      const double next = At(z, r, c) - At(g, r, c);
      change = std::max(change, std::fabs(next - At(x, r, c)));
      size = std::max(size, std::fabs(next));
      At(x, r, c) = next;
    }
    if (change <= 1e-13 * size) At(moving, r, 0) = 0.0;
    any = any || At(moving, r, 0) > 0.0;
  }
  return any;
}

void PlainKernels::Spread(ConstVector from, const Matrix& to) const {
  for (int r = 0; r < to.rows; ++r) At(to, r, 0) = from.data[r];
}

}  // namespace millrace
