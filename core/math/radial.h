// SPDX-License-Identifier: Apache-2.0
// The radial map (Rezende, Mohamed 2015, eq. 14), which expands or contracts around a centre c:
//
//   z = x + b h (x - c),   h = 1 / (a + r),   r = |x - c|
//   log|det dz/dx| = (dim - 1) ln(1 + b h) + ln(1 + a b h^2)
//
// theta = (c, ln a, ln g), both logarithms soft-clipped (core/math/affine.h). The factor at the
// centre is g = (a + b) / a: invertible for every theta, the identity at ln g = 0. The paper writes
// b = softplus(.) - a. p = (c, a, a + b, b).
#ifndef MILLRACE_CORE_MATH_RADIAL_H_
#define MILLRACE_CORE_MATH_RADIAL_H_

#include "core/math/affine.h"
#include "core/math/vector_bijection.h"

namespace millrace {

struct RadialMap {
  int dim;

  int parameters() const { return dim + 2; }
  int prepared() const { return dim + 3; }
  static constexpr int workspace() { return 0; }

  template <typename Uniform>
  void Initialise(const Uniform& uniform, float* theta) const {
    for (int c = 0; c < dim; ++c) theta[c] = static_cast<float>(uniform(c));
    theta[dim] = 0.0f;
    theta[dim + 1] = static_cast<float>(0.1 * uniform(dim));
  }

  template <typename T>
  void Prepare(const T* theta, T* p, T* /*work*/) const {
    for (int c = 0; c < dim; ++c) p[c] = theta[c];
    const T a = Exp(SoftClip(theta[dim]));
    const T factor = Exp(SoftClip(theta[dim + 1]));
    p[dim] = a;
    p[dim + 1] = a * factor;
    p[dim + 2] = a * (factor - T(1.0f));
  }

  // Adjoint counts a + b as a function of a and b: nothing arrives at p[dim + 1].
  template <typename T>
  void PrepareAdjoint(const T* theta, const T* p, T* /*work*/, const T* p_bar, T* theta_bar) const {
    for (int c = 0; c < dim; ++c) theta_bar[c] = theta_bar[c] + p_bar[c];
    theta_bar[dim] = theta_bar[dim] + (p_bar[dim] * p[dim] + p_bar[dim + 2] * p[dim + 2]) *
                                          SoftClipDerivative(theta[dim]);
    theta_bar[dim + 1] =
        theta_bar[dim + 1] + p_bar[dim + 2] * p[dim + 1] * SoftClipDerivative(theta[dim + 1]);
  }

  template <typename P, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE T Forward(const P* p, Row x) const {
    const At<T> at(*this, p, Radius(p, x));
    for (int c = 0; c < dim; ++c) x.Set(c, x[c] + at.bh * (x[c] - T(p[c])));
    return at.log_det;
  }

  // |z - c| = r (1 + b h) is a quadratic equation in r.
  template <typename P, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE T Inverse(const P* p, Row z) const {
    const T distance = Radius(p, z);
    const T a_distance = T(p[dim]) * distance;
    const T k = distance - T(p[dim + 1]);
    const T root = Sqrt(k * k + T(4.0f) * a_distance);
    const T r =
        Select(k > T(0.0f), T(0.5f) * (root + k), (a_distance + a_distance) / (root - Min0(k)));
    const T back = T(p[dim + 2]) / (T(p[dim + 1]) + r);
    for (int c = 0; c < dim; ++c) z.Set(c, z[c] - back * (z[c] - T(p[c])));
    return -At<T>(*this, p, r).log_det;
  }

  template <typename P, typename X, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE void Adjoint(const P* p, X x, Row grad, T log_det_bar, T* p_bar) const {
    const At<T> at(*this, p, Radius(p, x));
    const T b(p[dim + 2]);
    const T along = Along(p, x, grad);
    const T tangent_bar = log_det_bar * T(static_cast<float>(dim - 1)) / at.tangent;
    const T normal_bar = log_det_bar / at.normal;
    const T ah = T(p[dim]) * at.h;
    const T h_bar = b * (along + tangent_bar + (ah + ah) * normal_bar);
    const T r_bar = -at.h * at.h * h_bar;
    const T direction = r_bar / at.r;
    for (int c = 0; c < dim; ++c) {
      const T offset_bar = at.bh * grad[c] + direction * (x[c] - T(p[c]));
      if (p_bar != nullptr) p_bar[c] = p_bar[c] - offset_bar;
      grad.Set(c, grad[c] + offset_bar);
    }
    if (p_bar == nullptr) return;
    p_bar[dim] = p_bar[dim] + r_bar + b * at.h * at.h * normal_bar;
    p_bar[dim + 2] = p_bar[dim + 2] + at.h * (along + tangent_bar + ah * normal_bar);
  }

  // J = (1 + b h) I - (b h^2 / r) (x - c) (x - c)^T, inverted by Sherman and Morrison's formula.
  template <typename P, typename X, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE void TransposedSolve(const P* p, X x, Row grad) const {
    const At<T> at(*this, p, Radius(p, x));
    const T part = at.bh * at.h / at.r * Along(p, x, grad) / at.normal;
    const T inverse = T(1.0f) / at.tangent;
    for (int c = 0; c < dim; ++c) grad.Set(c, (grad[c] + part * (x[c] - T(p[c]))) * inverse);
  }

 private:
  // What depends on the radius alone. `tangent` and `normal` are the slopes across and along x - c,
  // written so that nothing cancels.
  template <typename T>
  struct At {
    template <typename P>
    MILLRACE_HOST_DEVICE At(const RadialMap& map, const P* p, T radius) : r(radius) {
      const T a(p[map.dim]);
      const T a_plus_b(p[map.dim + 1]);
      h = T(1.0f) / (a + r);
      bh = T(p[map.dim + 2]) * h;
      tangent = (a_plus_b + r) * h;
      normal = (r * h) * (r * h) + a * h * ((r + r + a_plus_b) * h);
      log_det = T(static_cast<float>(map.dim - 1)) * Log(tangent) + Log(normal);
    }
    T r, h{0.0f}, bh{0.0f}, tangent{0.0f}, normal{0.0f}, log_det{0.0f};
  };

  // |x - c|, kept within what floats square, and off 0, where it has no derivative.
  template <typename P, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE T Radius(const P* p, Row x) const {
    T square(1e-30f);
    for (int c = 0; c < dim; ++c) square = square + (x[c] - T(p[c])) * (x[c] - T(p[c]));
    return Sqrt(Clamp(square, T(0.0f), T(1e36f)));
  }

  template <typename P, typename X, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE T Along(const P* p, X x, Row grad) const {
    T sum(0.0f);
    for (int c = 0; c < dim; ++c) sum = sum + (x[c] - T(p[c])) * grad[c];
    return sum;
  }

  template <typename T>
  MILLRACE_HOST_DEVICE static T Min0(T k) {
    return Select(k > T(0.0f), T(0.0f), k);
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_RADIAL_H_
