// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/elementwise.h"

#include "core/transforms/bijection.h"

namespace millrace {
namespace {

// Parameters of a bijection that has none.
constexpr Matrix kNone;

// A copy of x for the way back.
void Record(Pass& pass, ConstMatrix x) {
  if (pass.tape == nullptr) return;
  const Matrix copy = pass.arena.NewMatrix(x.rows, x.cols);
  pass.kernels.Copy(x, copy);
  pass.tape->Push(copy);
}

}  // namespace

void Elementwise::Forward(Pass& pass, Matrix x, Vector log_det) const {
  Record(pass, x);
  ForwardBijection(pass, bijection_, kNone, x, log_det);
}

void Elementwise::Inverse(Pass& pass, Matrix z, Vector log_det) const {
  pass.kernels.BijectionInverse(bijection_, kNone, z, log_det);
  Record(pass, z);
}

void Elementwise::Backward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  pass.kernels.BijectionAdjoint(bijection_, kNone, pass.tape->Pop(), log_det_bar, grad, kNone);
}

void Elementwise::InverseBackward(Pass& pass, Matrix grad, ConstVector log_det_bar) const {
  pass.kernels.BijectionAdjointSolve(bijection_, kNone, pass.tape->Pop(), log_det_bar, grad, kNone);
}

}  // namespace millrace
