// SPDX-License-Identifier: Apache-2.0
// The rotation of two columns by an angle t (a Givens rotation):
//
//   z_i = x_i cos t - x_j sin t,   z_j = x_i sin t + x_j cos t,   log|det dz/dx| = 0
//
// theta = (t), p = (cos t, sin t).
#ifndef MILLRACE_CORE_MATH_ROTATION_H_
#define MILLRACE_CORE_MATH_ROTATION_H_

#include "core/math/vector_bijection.h"

namespace millrace {

struct RotationMap {
  int first;
  int second;

  static constexpr int parameters() { return 1; }
  static constexpr int prepared() { return 2; }
  static constexpr int workspace() { return 0; }

  template <typename Uniform>
  static void Initialise(const Uniform& uniform, float* theta) {
    theta[0] = static_cast<float>(0.1 * uniform(0));
  }

  template <typename T>
  static void Prepare(const T* theta, T* p, T* /*work*/) {
    const T turns = theta[0] * T(0.15915494309189533577);  // 1 / (2 pi)
    p[0] = CosTurn(turns);
    p[1] = SinTurn(turns);
  }

  template <typename T>
  static void PrepareAdjoint(const T* /*theta*/, const T* p, T* /*work*/, const T* p_bar,
                             T* theta_bar) {
    theta_bar[0] = theta_bar[0] + p[0] * p_bar[1] - p[1] * p_bar[0];
  }

  template <typename P, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE T Forward(const P* p, Row x) const {
    Turn(T(p[0]), T(p[1]), x);
    return T(0.0f);
  }

  template <typename P, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE T Inverse(const P* p, Row z) const {
    Turn(T(p[0]), -T(p[1]), z);
    return T(0.0f);
  }

  template <typename P, typename X, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE void Adjoint(const P* p, X x, Row grad, T /*log_det_bar*/, T* p_bar) const {
    if (p_bar != nullptr) {
      p_bar[0] = p_bar[0] + grad[first] * x[first] + grad[second] * x[second];
      p_bar[1] = p_bar[1] + grad[second] * x[first] - grad[first] * x[second];
    }
    Turn(T(p[0]), -T(p[1]), grad);
  }

  template <typename P, typename X, typename Row, typename T = typename Row::Value>
  MILLRACE_HOST_DEVICE void TransposedSolve(const P* p, X /*x*/, Row grad) const {
    Turn(T(p[0]), T(p[1]), grad);
  }

 private:
  template <typename T, typename Row>
  MILLRACE_HOST_DEVICE void Turn(T cosine, T sine, Row x) const {
    const T a = x[first];
    const T b = x[second];
    x.Set(first, a * cosine - b * sine);
    x.Set(second, a * sine + b * cosine);
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_ROTATION_H_
