// SPDX-License-Identifier: Apache-2.0
// The piecewise-quadratic map of [0, 1] onto itself (Müller, McWilliams, Rousselle, Gross, Novák
// 2019, sec. 4.3): a cumulative distribution function whose density is linear between K + 1
// vertices v. In the bin [x0, x1], z being z0 at x0 and the density v0 and v1 at the ends:
//
//   r = (x - x0) / (x1 - x0),   dz/dx = v0 + r (v1 - v0)
//   z = z0 + (x1 - x0) (r v0 + r^2 / 2 (v1 - v0))
//
// theta = (`bins` logits of widths, bins + 1 logits l of vertices): with the area A under exp(l),
// v = m + (1 - m) exp(l) / A, m = 1e-3. theta = 0 is the identity.
#ifndef MILLRACE_CORE_MATH_QUADRATIC_SPLINE_H_
#define MILLRACE_CORE_MATH_QUADRATIC_SPLINE_H_

#include "core/math/bijection.h"
#include "core/math/spline_knots.h"

namespace millrace {

struct QuadraticSpline {
  static constexpr double kSmallestDensity = 1e-3;  // m

  int bins = 8;  // in [kMinBins, kMaxBins]

  constexpr int parameters() const { return 2 * bins + 1; }
  static constexpr Interval Domain() { return {0.0, 1.0}; }
  static constexpr Interval Range() { return {0.0, 1.0}; }

  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Forward(T x, const T* theta) const {
    const Curve<T> curve(theta, bins);
    x = Clamp(x, T(0.0f), T(1.0f));
    const Bin<T> bin = curve.Find([&](int k) { return x >= curve.x[k]; });
    const T r = (x - bin.x0) / (bin.x1 - bin.x0);
    const T z = bin.z0 + (bin.x1 - bin.x0) * bin.Area(r);
    return {Clamp(z, bin.z0, bin.z1), Log(bin.Density(r))};
  }

  // With the share f of the bin's area, r = f (v0 + v1) / (v0 + root), root^2 = v0^2 + f (v1^2 -
  // v0^2), a sum of what is never negative.
  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Inverse(T z, const T* theta) const {
    const Curve<T> curve(theta, bins);
    z = Clamp(z, T(0.0f), T(1.0f));
    const Bin<T> bin = curve.Find([&](int k) { return z >= curve.z[k]; });
    const T width = bin.x1 - bin.x0;
    const T f = Clamp((z - bin.z0) / (width * bin.Area(T(1.0f))), T(0.0f), T(1.0f));
    const T root = Sqrt(bin.v0 * bin.v0 * (T(1.0f) - f) + bin.v1 * bin.v1 * f);
    const T r = f * (bin.v0 + bin.v1) / (bin.v0 + root);
    return {Clamp(bin.x0 + width * r, bin.x0, bin.x1), -Log(bin.Density(r))};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) const {
    const Curve<T> curve(theta, bins);
    x = Clamp(x, T(0.0f), T(1.0f));
    const Bin<T> bin = curve.Find([&](int k) { return x >= curve.x[k]; });
    const T width = bin.x1 - bin.x0;
    const T r = (x - bin.x0) / width;
    const T density_bar = log_det_bar / bin.Density(r);
    const T x_bar = z_bar * bin.Density(r) + density_bar * (bin.v1 - bin.v0) / width;
    const T half_square = T(0.5f) * r * r;
    BinBar<T> bar;
    bar.width = z_bar * bin.Area(r) - x_bar * r;
    bar.v0 = z_bar * width * (r - half_square) + density_bar * (T(1.0f) - r);
    bar.v1 = z_bar * width * half_square + density_bar * r;
    curve.Scatter(x, z_bar, x_bar, bar, theta_bar, theta_bar + bins);
    curve.Adjoint(theta_bar, theta_bar + bins);
    return x_bar;
  }

 private:
  template <typename T>
  struct Bin {
    T x0, x1, z0, z1, v0, v1;

    MILLRACE_HOST_DEVICE T Density(T r) const { return v0 + r * (v1 - v0); }
    MILLRACE_HOST_DEVICE T Area(T r) const { return r * (v0 + T(0.5f) * r * (v1 - v0)); }
  };

  // The part of the adjoint that goes through the numbers of x's bin, at fixed x0 and z0.
  template <typename T>
  struct BinBar {
    T width, v0, v1;
  };

  // The knots, and z and the density there.
  template <typename T>
  struct Curve {
    int bins;
    SplineKnots<T> x;
    T v[kMaxBins + 1];
    T z[kMaxBins + 1];

    MILLRACE_HOST_DEVICE Curve(const T* theta, int number)
        : bins(number), x(theta, number, 0.0, 1.0) {
      const T* logits = theta + bins;
      T largest = logits[0];
      for (int k = 1; k <= bins; ++k) largest = Max(logits[k], largest);
      T area = T(0.0f);
      v[0] = Exp(logits[0] - largest);
      for (int k = 0; k < bins; ++k) {
        v[k + 1] = Exp(logits[k + 1] - largest);
        area = area + Area(k);
      }
      const T scale = T(1.0 - kSmallestDensity) / area;
      for (int k = 0; k <= bins; ++k) v[k] = T(kSmallestDensity) + scale * v[k];
      z[0] = T(0.0f);
      for (int k = 0; k < bins; ++k) z[k + 1] = z[k] + Area(k);
      z[bins] = T(1.0f);
    }

    MILLRACE_HOST_DEVICE T Width(int k) const { return x[k + 1] - x[k]; }
    MILLRACE_HOST_DEVICE T MeanDensity(int k) const { return T(0.5f) * (v[k] + v[k + 1]); }
    MILLRACE_HOST_DEVICE T Area(int k) const { return Width(k) * MeanDensity(k); }

    // The last bin k with begun(k), which is true of that bin and all before it.
    template <typename Begun>
    MILLRACE_HOST_DEVICE Bin<T> Find(const Begun& begun) const {
      Bin<T> bin = {x[0], x[1], z[0], z[1], v[0], v[1]};
      for (int k = 1; k < bins; ++k) {
        const auto here = begun(k);
        bin.x0 = Select(here, x[k], bin.x0);
        bin.x1 = Select(here, x[k + 1], bin.x1);
        bin.z0 = Select(here, z[k], bin.z0);
        bin.z1 = Select(here, z[k + 1], bin.z1);
        bin.v0 = Select(here, v[k], bin.v0);
        bin.v1 = Select(here, v[k + 1], bin.v1);
      }
      return bin;
    }

    // dL/dwidth and dL/dv of all bins from those of the bin around `at`: widths below move x0, and
    // areas below z0.
    MILLRACE_HOST_DEVICE void Scatter(T at, T z_bar, T x_bar, const BinBar<T>& bar, T* width_bar,
                                      T* v_bar) const {
      BinBar<T> around = bar;  // of bin k, were x not above it
      const T zero = T(0.0f);
      v_bar[0] = zero;
      for (int k = 0; k < bins; ++k) {
        const auto passed = at >= (k + 1 < bins ? x[k + 1] : T(2.0f));
        const T half = T(0.5f) * z_bar * Width(k);
        width_bar[k] = Select(passed, z_bar * MeanDensity(k) - x_bar, around.width);
        v_bar[k] = v_bar[k] + Select(passed, half, around.v0);
        v_bar[k + 1] = Select(passed, half, around.v1);
        around = {Select(passed, bar.width, zero), Select(passed, bar.v0, zero),
                  Select(passed, bar.v1, zero)};
      }
    }

    // Turns dL/dwidth and dL/dv into dL/dlogit.
    MILLRACE_HOST_DEVICE void Adjoint(T* width_bar, T* v_bar) const {
      T mean = T(0.0f);  // -A dL/dA
      for (int k = 0; k <= bins; ++k) mean = mean + v_bar[k] * (v[k] - T(kSmallestDensity));
      const T area_bar = mean / T(1.0 - kSmallestDensity);
      const T half = T(0.5f) * area_bar;
      // Half the width of the bins on both sides of a vertex is its share of A.
      for (int k = 0; k < bins; ++k) {
        v_bar[k] = v_bar[k] - half * Width(k);
        v_bar[k + 1] = v_bar[k + 1] - half * Width(k);
        width_bar[k] = width_bar[k] - area_bar * (MeanDensity(k) - T(kSmallestDensity));
      }
      for (int k = 0; k <= bins; ++k) v_bar[k] = v_bar[k] * (v[k] - T(kSmallestDensity));
      x.Adjoint(width_bar);
    }
  };
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_QUADRATIC_SPLINE_H_
