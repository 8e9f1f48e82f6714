// SPDX-License-Identifier: Apache-2.0
// The monotone rational-quadratic spline (Durkan, Bekasov, Murray, Papamakarios 2019, eq. 4-8) on
// [-bound, bound], the identity outside. In the bin [x0, x1], which is mapped to [y0, y1] with the
// slopes d0 and d1 at its ends:
//
//   r = (x - x0) / (x1 - x0),   s = (y1 - y0) / (x1 - x0),   q = r (1 - r)
//   z = y0 + (y1 - y0) N / D,   N = s r^2 + d0 q,   D = s + (d0 + d1 - 2 s) q
//   dz/dx = s^2 M / D^2,        M = d1 r^2 + 2 s q + d0 (1 - r)^2
//
// theta = (`bins` logits of widths, `bins` logits of heights, bins - 1 logarithms of the slopes at
// inner knots, soft-clipped to (-ln 1000, ln 1000)). The outer slopes are 1, so that z and its
// slope are continuous; theta = 0 is the identity.
#ifndef MILLRACE_CORE_MATH_RATIONAL_QUADRATIC_H_
#define MILLRACE_CORE_MATH_RATIONAL_QUADRATIC_H_

#include "core/math/affine.h"
#include "core/math/bijection.h"
#include "core/math/spline_knots.h"

namespace millrace {

// The spline within one bin; the names are those of the formulas.
template <typename T>
struct RationalQuadraticBin {
  T x0, x1, y0, y1, log_d0, log_d1;  // the logarithms as in theta

  // What the formulas have in common at one r.
  struct Point {
    T r, w, h, s, d0, d1, q, n, d, m;

    MILLRACE_HOST_DEVICE T LogSlope() const {
      const T ratio = s / d;
      return Log(ratio * ratio * m);
    }
  };

  MILLRACE_HOST_DEVICE Point At(T r) const {
    Point p;
    p.r = r;
    p.w = x1 - x0;
    p.h = y1 - y0;
    p.s = p.h / p.w;
    p.d0 = Exp(SoftClip(log_d0));
    p.d1 = Exp(SoftClip(log_d1));
    const T rest = T(1.0f) - r;
    p.q = r * rest;
    p.n = p.s * r * r + p.d0 * p.q;
    p.d = p.s + (p.d0 + p.d1 - T(2.0f) * p.s) * p.q;
    p.m = p.d1 * r * r + T(2.0f) * p.s * p.q + p.d0 * rest * rest;
    return p;
  }

  MILLRACE_HOST_DEVICE Point AtX(T x) const { return At((x - x0) / (x1 - x0)); }

  // The point whose z is given: with f = (z - y0) / h, r is the root in [0, 1] of a r^2 + b r = s
  // f,
  //
  //   a = (s - d0) (1 - f) + (d1 - s) f,   b = d0 (1 - f) + (2 s - d1) f = s - a
  //
  // The discriminant b^2 + 4 a s f = c^2 - 4 a s (1 - f), c = (2 s - d0) (1 - f) + d1 f = s + a,
  // has a form without negative terms for each sign of a; and the root one without cancellation for
  // each sign of b.
  MILLRACE_HOST_DEVICE Point AtZ(T z) const {
    const Point p = At(T(0.0f));
    const T f = Clamp((z - y0) / p.h, T(0.0f), T(1.0f));
    const T rest = T(1.0f) - f;
    const T twice_s = p.s + p.s;
    const T a = (p.s - p.d0) * rest + (p.d1 - p.s) * f;
    const T b = p.d0 * rest + (twice_s - p.d1) * f;
    const T c = (twice_s - p.d0) * rest + p.d1 * f;
    const auto convex = a > T(0.0f);
    const T bc = Select(convex, b, c);
    const T size = Select(convex, a + a, -(a + a));
    const T root = Sqrt(bc * bc + twice_s * size * Select(convex, f, rest));
    const auto add = b > T(0.0f);
    const T r = Select(add, twice_s * f, root - b) / Select(add, b + root, a + a);
    return At(Clamp(r, T(0.0f), T(1.0f)));
  }

  MILLRACE_HOST_DEVICE T ToZ(const Point& p) const { return Clamp(y0 + p.h * (p.n / p.d), y0, y1); }
  MILLRACE_HOST_DEVICE T ToX(const Point& p) const { return Clamp(x0 + p.w * p.r, x0, x1); }

  // The adjoint of ToZ and LogSlope at AtX(x): dL/d of the bin's numbers, into `bar`, and dL/dx.
  MILLRACE_HOST_DEVICE T Adjoint(const Point& p, T z_bar, T log_det_bar,
                                 RationalQuadraticBin* bar) const {
    const T rest = T(1.0f) - p.r;
    const T one_over_d = T(1.0f) / p.d;
    const T ratio = p.n * one_over_d;
    const T n_bar = z_bar * p.h * one_over_d;
    const T d_bar = -(n_bar * ratio + T(2.0f) * log_det_bar * one_over_d);
    const T m_bar = log_det_bar / p.m;
    const T q_bar = n_bar * p.d0 + d_bar * (p.d0 + p.d1 - T(2.0f) * p.s) + T(2.0f) * m_bar * p.s;
    const T s_bar = n_bar * p.r * p.r + d_bar * (T(1.0f) - T(2.0f) * p.q) +
                    T(2.0f) * (m_bar * p.q + log_det_bar / p.s);
    const T d0_bar = (n_bar + d_bar) * p.q + m_bar * rest * rest;
    const T d1_bar = d_bar * p.q + m_bar * p.r * p.r;
    const T r_bar =
        T(2.0f) * (n_bar * p.s * p.r + m_bar * (p.d1 * p.r - p.d0 * rest)) + q_bar * (rest - p.r);
    const T x_bar = r_bar / p.w;
    const T w_bar = -(r_bar * p.r + s_bar * p.s) / p.w;
    const T h_bar = z_bar * ratio + s_bar / p.w;
    bar->x1 = w_bar;
    bar->x0 = -x_bar - w_bar;
    bar->y1 = h_bar;
    bar->y0 = z_bar - h_bar;
    bar->log_d0 = d0_bar * p.d0 * SoftClipDerivative(log_d0);
    bar->log_d1 = d1_bar * p.d1 * SoftClipDerivative(log_d1);
    return x_bar;
  }
};

struct RationalQuadratic {
  int bins = 8;  // in [kMinBins, kMaxBins]
  double bound = 5.0;

  constexpr int parameters() const { return 3 * bins - 1; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return kAllReals; }

  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Forward(T x, const T* theta) const {
    const Knots<T> knots(*this, theta);
    const T in_box = Clamp(x, T(-bound), T(bound));
    const auto bin = Find(knots, knots.x, in_box, theta);
    const auto point = bin.AtX(in_box);
    return IdentityOutside(x, {bin.ToZ(point), point.LogSlope()});
  }

  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Inverse(T z, const T* theta) const {
    const Knots<T> knots(*this, theta);
    const T in_box = Clamp(z, T(-bound), T(bound));
    const auto bin = Find(knots, knots.y, in_box, theta);
    const auto point = bin.AtZ(in_box);
    return IdentityOutside(z, {bin.ToX(point), -point.LogSlope()});
  }

  template <typename T>
  MILLRACE_HOST_DEVICE T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) const {
    const Knots<T> knots(*this, theta);
    const auto inside = Abs(x) < T(bound);
    const T in_box = Clamp(x, T(-bound), T(bound));
    const auto bin = Find(knots, knots.x, in_box, theta);
    RationalQuadraticBin<T> bar;
    const T x_bar = bin.Adjoint(bin.AtX(in_box), Select(inside, z_bar, T(0.0f)),
                                Select(inside, log_det_bar, T(0.0f)), &bar);
    Scatter(knots.x, in_box, bar, theta_bar);
    knots.x.Adjoint(theta_bar);
    knots.y.Adjoint(theta_bar + bins);
    return Select(inside, x_bar, z_bar);
  }

 private:
  template <typename T>
  struct Knots {
    SplineKnots<T> x;
    SplineKnots<T> y;

    MILLRACE_HOST_DEVICE Knots(const RationalQuadratic& f, const T* theta)
        : x(theta, f.bins, -f.bound, f.bound), y(theta + f.bins, f.bins, -f.bound, f.bound) {}
  };

  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> IdentityOutside(T v, Mapped<T> inside) const {
    const auto in_box = Abs(v) < T(bound);
    return {Select(in_box, inside.value, v), Select(in_box, inside.log_det, T(0.0f))};
  }

  // The bin of `v` among `begins`, which are knots.x or knots.y.
  template <typename T>
  MILLRACE_HOST_DEVICE RationalQuadraticBin<T> Find(const Knots<T>& knots,
                                                    const SplineKnots<T>& begins, T v,
                                                    const T* theta) const {
    const T* log_d = theta + 2 * bins;  // of inner knots
    RationalQuadraticBin<T> bin = {knots.x[0], knots.x[1], knots.y[0],
                                   knots.y[1], T(0.0f),    log_d[0]};
    for (int k = 1; k < bins; ++k) {
      const auto begun = v >= begins[k];
      bin.x0 = Select(begun, knots.x[k], bin.x0);
      bin.x1 = Select(begun, knots.x[k + 1], bin.x1);
      bin.y0 = Select(begun, knots.y[k], bin.y0);
      bin.y1 = Select(begun, knots.y[k + 1], bin.y1);
      bin.log_d0 = Select(begun, log_d[k - 1], bin.log_d0);
      bin.log_d1 = Select(begun, k + 1 < bins ? log_d[k] : T(0.0f), bin.log_d1);
    }
    return bin;
  }

  // theta_bar = dL/d of widths, heights and log-slopes, from those of the numbers of x's bin. A bin
  // wholly below x moves both of that bin's ends, the bin around x its upper end.
  template <typename T>
  MILLRACE_HOST_DEVICE void Scatter(const SplineKnots<T>& x_knots, T x,
                                    const RationalQuadraticBin<T>& bar, T* theta_bar) const {
    T* const height_bar = theta_bar + bins;
    T* const log_d_bar = theta_bar + 2 * bins;
    const T x_below = bar.x0 + bar.x1;
    const T y_below = bar.y0 + bar.y1;
    // Of bin k, were x not above it; and of the slope at its upper end.
    T x_around = bar.x1, y_around = bar.y1, log_d_around = bar.log_d1;
    for (int k = 0; k + 1 < bins; ++k) {
      const auto passed = x >= x_knots[k + 1];
      theta_bar[k] = Select(passed, x_below, x_around);
      height_bar[k] = Select(passed, y_below, y_around);
      const T log_d_below = Select(x >= x_knots[k + 2], T(0.0f), bar.log_d0);
      log_d_bar[k] = Select(passed, log_d_below, log_d_around);
      x_around = Select(passed, bar.x1, T(0.0f));
      y_around = Select(passed, bar.y1, T(0.0f));
      log_d_around = Select(passed, bar.log_d1, T(0.0f));
    }
    theta_bar[bins - 1] = x_around;
    height_bar[bins - 1] = y_around;
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_RATIONAL_QUADRATIC_H_
