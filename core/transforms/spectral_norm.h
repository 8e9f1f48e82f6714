// SPDX-License-Identifier: Apache-2.0
// The largest singular value of a weight matrix, estimated from below and bounded from above.
#ifndef MILLRACE_CORE_TRANSFORMS_SPECTRAL_NORM_H_
#define MILLRACE_CORE_TRANSFORMS_SPECTRAL_NORM_H_

#include <span>

#include "core/exec/parameters.h"

namespace millrace {

// Power iteration (Miyato et al. 2018, algorithm 1) from `direction` [weight.rows], which is
// replaced by the direction found, so that the next call, after a small change, goes on from there.
// A direction of zeros counts as none. Never above the norm, but for rounding.
double EstimateSpectralNorm(const Slice& weight, std::span<const float> parameters, int iterations,
                            std::span<float> direction);

// Never below the norm, but for rounding, and above it by at most 1%. O(n^3 ln n), n the smaller of
// rows and columns.
double BoundSpectralNorm(const Slice& weight, std::span<const float> parameters);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_SPECTRAL_NORM_H_
