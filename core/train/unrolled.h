// SPDX-License-Identifier: Apache-2.0
// A flow with masked autoregressive layers as one whose samples need no sweep over the columns: the
// student of density distillation (van den Oord et al. 2018) starts as it.
//
// Such a layer draws x_i = b^-1(z_i; theta_i(x_1 .. x_(i-1))), one column after the other.
// Unrolled, it is a layer for every two columns, inverse autoregressive (Kingma et al. 2016): one
// pass finds its columns as x_i = b^-1(z_i; theta_i(y_1 .. y_(i-1))), where y are the columns as
// they are before the pass, those of earlier pairs found, those of its own still latents. With the
// teacher's parameters the first of each two is exact; the second is to be learned.
#ifndef MILLRACE_CORE_TRAIN_UNROLLED_H_
#define MILLRACE_CORE_TRAIN_UNROLLED_H_

#include <span>

#include "core/flow/flow.h"
#include "core/flow/flow_spec.h"

namespace millrace {

// Columns of a flow that can be unrolled, at most: eight layers for one.
inline constexpr int kMaxUnrolledDim = 16;

// Whether a valid spec has layers that need a sweep: autoregressive ones that are not inverted. And
// whether it can do without: the bijections of all these are affine or rational-quadratic splines
// either way round, no linear layer starts as a rotation (whose permutation depends on its place),
// there are at most kMaxUnrolledDim columns, and what comes out is a valid spec.
bool CanUnroll(const FlowSpec& teacher);

// The spec of a teacher that CanUnroll, unrolled.
FlowSpec Unrolled(const FlowSpec& teacher);

// The parameters of `unrolled`, a flow of Unrolled(teacher.spec()), from the teacher's, of which
// there are teacher.layout().size().
ParameterValues UnrolledParameters(const Flow& teacher, std::span<const float> parameters,
                                   const Flow& unrolled);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_UNROLLED_H_
