// SPDX-License-Identifier: Apache-2.0
// What planar and Sylvester maps have in common, of width M:
//
//   z = x + A h(B x + b),   h = tanh,   C = B A upper triangular with C_ii > -1
//   log|det dz/dx| = sum of ln(1 + C_ii h'(a_i)),   a = B x + b
//
// by Sylvester's identity det(I + A D B) = det(I + D B A). The inverse is found in a, from the last
// to the first: a + C h(a) = B z + b is triangular.
//
// p = (A, a column after the other; B, a row after the other; b; C, a row after the other).
#ifndef MILLRACE_CORE_MATH_LOW_RANK_H_
#define MILLRACE_CORE_MATH_LOW_RANK_H_

#include "core/math/vector_bijection.h"

namespace millrace {

// The a with a + s tanh(a) = y, s > -1. With y >= 0 the left side is concave where s >= 0 and
// convex where s < 0, so that Newton's method from the ends below approaches a from one side. It
// takes about ln(s) steps more than a few.
template <typename T>
MILLRACE_HOST_DEVICE inline T TanhRoot(T s, T y) {
  constexpr int kSteps = 24;
  const T size = Abs(y);
  const T steepest = size / (T(1.0f) + s);
  const T shifted = size - s;
  T a = Select(s < T(0.0f), Select(steepest < shifted, steepest, shifted), Max(steepest, shifted));
  for (int step = 0; step < kSteps; ++step) {
    const T t = Tanh(a);
    const T slope = (T(1.0f) + s) * (T(1.0f) - t * t) + t * t;
    a = a - (a + s * t - size) / slope;
  }
  return WithSignOf(y, a);
}

class LowRank {
 public:
  static constexpr int kMaxWidth = 32;
  // C_ii is at least this less 1: no direction shrinks to nothing.
  static constexpr double kLeastSlope = 1e-3;

  constexpr LowRank(int dim, int width) : dim_(dim), width_(width) {}

  int dim() const { return dim_; }
  int width() const { return width_; }
  int prepared() const { return offset_c() + width_ * width_; }
  // Where the parts of p begin.
  int offset_a(int i) const { return i * dim_; }
  int offset_b(int i) const { return (width_ + i) * dim_; }
  int offset_shift() const { return 2 * width_ * dim_; }
  int offset_c() const { return offset_shift() + width_; }

  template <typename P, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE T Forward(const P* p, Row x) const {
    T h[kMaxWidth];
    T log_det(0.0f);
    for (int i = 0; i < width_; ++i) {
      h[i] = Tanh(Dot<T>(p + offset_b(i), x, dim_) + T(p[offset_shift() + i]));
      log_det = log_det + Log(Slope(p, i, h[i]));
    }
    for (int i = 0; i < width_; ++i) AddScaled(h[i], p + offset_a(i), dim_, x);
    return log_det;
  }

  template <typename P, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE T Inverse(const P* p, Row z) const {
    T h[kMaxWidth];
    T log_det(0.0f);
    for (int i = width_ - 1; i >= 0; --i) {
      T y = Dot<T>(p + offset_b(i), z, dim_) + T(p[offset_shift() + i]);
      for (int j = i + 1; j < width_; ++j) y = y - C<T>(p, i, j) * h[j];
      h[i] = Tanh(TanhRoot(C<T>(p, i, i), y));
      log_det = log_det - Log(Slope(p, i, h[i]));
    }
    for (int i = 0; i < width_; ++i) AddScaled(-h[i], p + offset_a(i), dim_, z);
    return log_det;
  }

  // Nothing arrives at C but on its diagonal.
  template <typename P, typename X, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE void Adjoint(const P* p, X x, Row grad, T log_det_bar, T* p_bar) const {
    T a_bar[kMaxWidth];
    for (int i = 0; i < width_; ++i) {
      const T h = Tanh(Dot<T>(p + offset_b(i), x, dim_) + T(p[offset_shift() + i]));
      const T slope_bar = log_det_bar / Slope(p, i, h);
      const T h_bar = Dot<T>(p + offset_a(i), grad, dim_) - T(2.0f) * slope_bar * C<T>(p, i, i) * h;
      a_bar[i] = h_bar * (T(1.0f) - h * h);
      if (p_bar == nullptr) continue;
      AddProduct(h, grad, p_bar + offset_a(i));
      AddProduct(a_bar[i], x, p_bar + offset_b(i));
      T& shift_bar = p_bar[offset_shift() + i];
      shift_bar = shift_bar + a_bar[i];
      T& c_bar = p_bar[offset_c() + i * width_ + i];
      c_bar = c_bar + slope_bar * (T(1.0f) - h * h);
    }
    for (int i = 0; i < width_; ++i) AddScaled(a_bar[i], p + offset_b(i), dim_, grad);
  }

  // J^T = I + B^T D A^T with D = diag(h'): v = g - B^T D q, where q = A^T v solves the triangular
  // system q + C^T D q = A^T g.
  template <typename P, typename X, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE void TransposedSolve(const P* p, X x, Row grad) const {
    T dq[kMaxWidth];
    for (int i = 0; i < width_; ++i) {
      const T h = Tanh(Dot<T>(p + offset_b(i), x, dim_) + T(p[offset_shift() + i]));
      T q = Dot<T>(p + offset_a(i), grad, dim_);
      for (int j = 0; j < i; ++j) q = q - C<T>(p, j, i) * dq[j];
      dq[i] = q * (T(1.0f) - h * h) / Slope(p, i, h);
    }
    for (int i = 0; i < width_; ++i) AddScaled(-dq[i], p + offset_b(i), dim_, grad);
  }

 private:
  template <typename T, typename P>
  MILLRACE_HOST_DEVICE T C(const P* p, int i, int j) const {
    return T(p[offset_c() + i * width_ + j]);
  }

  // 1 + C_ii (1 - h^2), written so that nothing cancels.
  template <typename T, typename P>
  MILLRACE_HOST_DEVICE T Slope(const P* p, int i, T h) const {
    return (T(1.0f) + C<T>(p, i, i)) * (T(1.0f) - h * h) + h * h;
  }

  template <typename T, typename Row>
  MILLRACE_HOST_DEVICE void AddProduct(T factor, Row x, T* to) const {
    for (int c = 0; c < dim_; ++c) to[c] = to[c] + factor * x[c];
  }

  int dim_;
  int width_;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_LOW_RANK_H_
