// SPDX-License-Identifier: Apache-2.0
// The piecewise-linear map of [0, 1] onto itself (Müller, McWilliams, Rousselle, Gross, Novák 2019,
// sec. 4.2): a cumulative distribution function with `bins` equal steps in x. In bin k of K, which
// is mapped to [y0, y1]:
//
//   r = K x - k,   z = y0 + (y1 - y0) r,   dz/dx = K (y1 - y0)
//
// theta = (`bins` logits of the heights y1 - y0); theta = 0 is the identity.
#ifndef MILLRACE_CORE_MATH_LINEAR_SPLINE_H_
#define MILLRACE_CORE_MATH_LINEAR_SPLINE_H_

#include "core/math/bijection.h"
#include "core/math/spline_knots.h"

namespace millrace {

struct LinearSpline {
  int bins = 8;  // in [kMinBins, kMaxBins]

  constexpr int parameters() const { return bins; }
  static constexpr Interval Domain() { return {0.0, 1.0}; }
  static constexpr Interval Range() { return {0.0, 1.0}; }

  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Forward(T x, const T* theta) const {
    const SplineKnots<T> knots(theta, bins, 0.0, 1.0);
    const T steps = Steps(x);
    const Bin<T> bin = Find(knots, [&](int k) { return steps >= Number<T>(k); });
    const T z = bin.y0 + (bin.y1 - bin.y0) * (steps - bin.k);
    return {Clamp(z, bin.y0, bin.y1), LogSlope(bin)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Inverse(T z, const T* theta) const {
    const SplineKnots<T> knots(theta, bins, 0.0, 1.0);
    z = Clamp(z, T(0.0f), T(1.0f));
    const Bin<T> bin = Find(knots, [&](int k) { return z >= knots[k]; });
    const T r = (z - bin.y0) / (bin.y1 - bin.y0);
    return {(bin.k + r) / Number<T>(bins), -LogSlope(bin)};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) const {
    const SplineKnots<T> knots(theta, bins, 0.0, 1.0);
    const T steps = Steps(x);
    const Bin<T> bin = Find(knots, [&](int k) { return steps >= Number<T>(k); });
    const T height = bin.y1 - bin.y0;
    // Bins below x's raise y0; the bin around it has this height.
    T around = z_bar * (steps - bin.k) + log_det_bar / height;
    const T height_bar = around;
    for (int k = 0; k + 1 < bins; ++k) {
      const auto passed = steps >= Number<T>(k + 1);
      theta_bar[k] = Select(passed, z_bar, around);
      around = Select(passed, height_bar, T(0.0f));
    }
    theta_bar[bins - 1] = around;
    knots.Adjoint(theta_bar);
    return z_bar * height * Number<T>(bins);
  }

 private:
  template <typename T>
  struct Bin {
    T k, y0, y1;
  };

  template <typename T>
  MILLRACE_HOST_DEVICE static T Number(int n) {
    return T(static_cast<float>(n));
  }

  // K x, within [0, K].
  template <typename T>
  MILLRACE_HOST_DEVICE T Steps(T x) const {
    return Clamp(x, T(0.0f), T(1.0f)) * Number<T>(bins);
  }

  // The last bin k with begun(k), which is true of that bin and all before it.
  template <typename T, typename Begun>
  MILLRACE_HOST_DEVICE Bin<T> Find(const SplineKnots<T>& knots, const Begun& begun) const {
    Bin<T> bin = {T(0.0f), knots[0], knots[1]};
    for (int k = 1; k < bins; ++k) {
      const auto here = begun(k);
      bin.k = Select(here, Number<T>(k), bin.k);
      bin.y0 = Select(here, knots[k], bin.y0);
      bin.y1 = Select(here, knots[k + 1], bin.y1);
    }
    return bin;
  }

  template <typename T>
  MILLRACE_HOST_DEVICE T LogSlope(const Bin<T>& bin) const {
    return Log((bin.y1 - bin.y0) * Number<T>(bins));
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_LINEAR_SPLINE_H_
