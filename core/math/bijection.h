// SPDX-License-Identifier: Apache-2.0
// What a scalar bijection is made of. Each stands in a header of its own as a class of formulas F:
//
//   int parameters() const;                             // of one value, theta[0 .. parameters())
//   Mapped<T> Forward(T x, const T* theta) const;       // data -> latent: z and log|dz/dx|
//   Mapped<T> Inverse(T z, const T* theta) const;       // latent -> data: x and log|dx/dz|
//   T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) const;
//
// templates on T: float, double, dual numbers, SIMD packs. Adjoint is that of Forward, for a loss
// that depends on z and on log_det: it writes theta_bar and returns dL/dx; it is linear in (z_bar,
// log_det_bar). Formulas do not branch on data (core/math/scalar.h), are finite for every finite x
// and theta, and their Forward and Inverse increase with x and z.
//
//   Interval Domain() const;                            // of x
//   Interval Range() const;                             // of z
//
// tell which numbers are meant for Forward and Inverse. A number outside counts as the nearest
// inside, its adjoint as the one there.
#ifndef MILLRACE_CORE_MATH_BIJECTION_H_
#define MILLRACE_CORE_MATH_BIJECTION_H_

#include <cmath>

#include "core/math/scalar.h"

namespace millrace {

// Most parameters a bijection may have, over all F.
inline constexpr int kMaxTheta = 128;

struct Interval {
  double low;
  double high;
  friend bool operator==(const Interval&, const Interval&) = default;
};
inline constexpr Interval kAllReals = {-INFINITY, INFINITY};

template <typename T>
struct Mapped {
  T value;
  T log_det;
};

// Solves Adjoint for z_bar: the v for which f.Adjoint(x, theta, v, log_det_bar, theta_bar) returns
// x_bar; theta_bar is written for that v. Adjoints of inverses are made of it.
template <typename F, typename T>
MILLRACE_HOST_DEVICE inline T AdjointSolve(const F& f, T x, const T* theta, T x_bar, T log_det_bar,
                                           T* theta_bar) {
  const T through_log_det = f.Adjoint(x, theta, T(0.0f), log_det_bar, theta_bar);
  const T z_bar = (x_bar - through_log_det) * Exp(-f.Forward(x, theta).log_det);
  f.Adjoint(x, theta, z_bar, log_det_bar, theta_bar);
  return z_bar;
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_BIJECTION_H_
