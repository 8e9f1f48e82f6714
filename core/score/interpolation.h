// SPDX-License-Identifier: Apache-2.0
// Paths between two points of latent space.
#ifndef MILLRACE_CORE_SCORE_INTERPOLATION_H_
#define MILLRACE_CORE_SCORE_INTERPOLATION_H_

#include <span>
#include <vector>

namespace millrace {

enum class InterpolationKind {
  kLinear,     // (1 - t) a + t b
  kSpherical,  // Shoemake 1985: constant angular speed, norms interpolated linearly
};

// The point at t in [0, 1] between a and b of equal size; t = 0 gives a and t = 1 gives b exactly.
// Spherical falls back to linear where the direction is undefined: a zero norm, one dimension, or
// (nearly) parallel points. Between antipodes the path turns through a fixed direction orthogonal
// to both, the same for the same pair.
std::vector<double> InterpolateLatent(InterpolationKind kind, std::span<const double> a,
                                      std::span<const double> b, double t);

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_INTERPOLATION_H_
