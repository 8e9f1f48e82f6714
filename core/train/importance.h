// SPDX-License-Identifier: Apache-2.0
// What importance weights say of a model and the density it was fitted to.
#ifndef MILLRACE_CORE_TRAIN_IMPORTANCE_H_
#define MILLRACE_CORE_TRAIN_IMPORTANCE_H_

#include <span>

#include "core/model.h"

namespace millrace {

// Of samples of q: log_q[i] = ln q(x_i), finite, and log_p[i] = ln p(x_i), finite or -infinity and
// not all of them -infinity; spans of the same size. Where p has the integral 1, `normalised`, the
// divergence does not rest on the estimate of the integral.
DensityFit Compare(std::span<const double> log_q, std::span<const double> log_p, bool normalised);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRAIN_IMPORTANCE_H_
