// SPDX-License-Identifier: Apache-2.0
// Everything one pass of a flow over one block of rows needs beside the block itself.
#ifndef MILLRACE_CORE_EXEC_PASS_H_
#define MILLRACE_CORE_EXEC_PASS_H_

#include <optional>

#include "core/exec/arena.h"
#include "core/exec/kernels.h"
#include "core/exec/parameters.h"
#include "core/exec/tape.h"

namespace millrace {

struct Pass {
  const Kernels& kernels;
  Arena& arena;
  Weights weights;
  // Adjoint passes ADD dL/dparameter here; empty in passes that need no gradient.
  Gradients gradients = {};
  // Per-row conditions [rows, context_dim], and where adjoints ADD dL/dcontext (may be empty).
  ConstMatrix context = {};
  Matrix context_bar = {};
  // Of conditioned log-scales, in adjoints of training; see Kernels::LogScalePenaltyAdjoint.
  double log_scale_penalty = 0.0;
  // When not empty, one vector a column: transforms that are triangular with these weights add each
  // column's share of the log-det there instead of to the sum.
  Vectors column_log_det = {};
  // Present when an adjoint will follow: what it needs is pushed, temporaries are kept.
  Tape* tape = nullptr;
};

// Gives temporaries of a pass back at the end of a block of code, unless a tape still points at
// them.
class PassScope {
 public:
  explicit PassScope(Pass& pass) {
    if (pass.tape == nullptr) scope_.emplace(pass.arena);
  }

 private:
  std::optional<Arena::Scope> scope_;
};

// What flows through a pass: x, its conditions, units of a network, parameters of a scalar
// bijection. Flat where the row comes alone and no adjoint follows. To be given to Load, Store,
// Copy, Add, Gather, Scatter, Dense, Activate, BijectionForward, BijectionInverse, SweepColumns,
// Broadcast, BaseLogDensity and SampleBase. All matrices of a call are then flat, but for Copy and
// Dense.
inline Matrix NewRows(Pass& pass, int rows, int cols) {
  const bool flat = rows == 1 && pass.weights.by_input != nullptr && pass.tape == nullptr;
  return flat ? pass.arena.NewFlat(cols) : pass.arena.NewMatrix(rows, cols);
}

// For transforms whose operations take no flat row: use(x as a block), which may change it.
template <typename Use>
void OnBlock(Pass& pass, Matrix x, const Use& use) {
  if (!x.IsFlat()) return use(x);
  const Arena::Scope scope(pass.arena);
  const Matrix block = pass.arena.NewMatrix(x.rows, x.cols);
  pass.kernels.Copy(x, block);
  use(block);
  pass.kernels.Copy(block, x);
}

// Pushes a copy of x for the adjoint, if one will follow.
inline void Record(Pass& pass, ConstMatrix x) {
  if (pass.tape == nullptr) return;
  const Matrix copy = pass.arena.NewMatrix(x.rows, x.cols);
  pass.kernels.Copy(x, copy);
  pass.tape->Push(copy);
}

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_PASS_H_
