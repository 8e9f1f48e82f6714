// SPDX-License-Identifier: Apache-2.0
// The planar map (Rezende, Mohamed 2015, eq. 10):
//
//   z = x + u tanh(w.x + b),   log|det dz/dx| = ln(1 + w.u tanh'(w.x + b))
//
// invertible while w.u > -1. theta = (w, v, b), where u is v with its part along w changed so that
// w.u = m(w.v), as in the paper's appendix A.1 but with
//
//   m(q) = -1 + k + (1 - k) ln(1 + (e - 1) exp(q)),   k = kLeastSlope
//
// which is 0 at 0: u stays finite as w goes to 0. p is that of LowRank with width 1.
#ifndef MILLRACE_CORE_MATH_PLANAR_H_
#define MILLRACE_CORE_MATH_PLANAR_H_

#include "core/math/low_rank.h"

namespace millrace {

class PlanarMap : public LowRank {
 public:
  explicit constexpr PlanarMap(int dim) : LowRank(dim, 1) {}

  int parameters() const { return 2 * dim() + 1; }
  static constexpr int workspace() { return 0; }

  template <typename Uniform>
  void Initialise(const Uniform& uniform, float* theta) const {
    const double unit = std::sqrt(3.0 / dim());  // of a vector about 1 long
    for (int c = 0; c < dim(); ++c) theta[c] = static_cast<float>(unit * uniform(c));
    for (int c = dim(); c < parameters(); ++c)
      theta[c] = static_cast<float>(0.1 * unit * uniform(c));
  }

  template <typename T>
  void Prepare(const T* theta, T* p, T* /*work*/) const {
    const Along<T> along(theta, dim());
    for (int c = 0; c < dim(); ++c) {
      p[offset_a(0) + c] = theta[dim() + c] + along.change * theta[c];
      p[offset_b(0) + c] = along.present * theta[c];
    }
    p[offset_shift()] = theta[2 * dim()];
    p[offset_c()] = along.present * along.m;
  }

  template <typename T>
  void PrepareAdjoint(const T* theta, const T* /*p*/, T* /*work*/, const T* p_bar,
                      T* theta_bar) const {
    const Along<T> along(theta, dim());
    const T* const u_bar = p_bar + offset_a(0);
    const T change_bar = Dot<T>(theta, ArrayRow<const T>{u_bar}, dim());
    const T m_bar = along.present * p_bar[offset_c()] + change_bar * along.inverse;
    const T q_bar = m_bar * along.m_slope - change_bar * along.inverse;
    const T square_bar = -change_bar * along.change * along.inverse;
    for (int c = 0; c < dim(); ++c) {
      theta_bar[c] = theta_bar[c] + along.present * p_bar[offset_b(0) + c] +
                     along.change * u_bar[c] + q_bar * theta[dim() + c] +
                     T(2.0f) * square_bar * theta[c];
      theta_bar[dim() + c] = theta_bar[dim() + c] + u_bar[c] + q_bar * theta[c];
    }
    theta_bar[2 * dim()] = theta_bar[2 * dim()] + p_bar[offset_shift()];
  }

 private:
  // u = v + change w, change = (m(q) - q) / |w|^2. A w of no length counts as 0: a translation.
  template <typename T>
  struct Along {
    Along(const T* theta, int dim) {
      const T q = Dot<T>(theta, ArrayRow<const T>{theta + dim}, dim);
      const T square = Dot<T>(theta, ArrayRow<const T>{theta}, dim);
      const auto none = square < T(1e-20f);
      present = Select(none, T(0.0f), T(1.0f));
      inverse = present / Select(none, T(1.0f), square);
      const T shifted = q + T(0.54132485461291806);  // ln(e - 1)
      const T e = Exp(-Abs(shifted));
      const T softplus = Max(shifted, T(0.0f)) + Log1p(e);
      m = T(kLeastSlope - 1.0) + T(1.0 - kLeastSlope) * softplus;
      m_slope = T(1.0 - kLeastSlope) * Select(shifted < T(0.0f), e, T(1.0f)) / (T(1.0f) + e);
      change = (m - q) * inverse;
    }
    T present{0.0}, inverse{0.0}, m{0.0}, m_slope{0.0}, change{0.0};
  };
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_PLANAR_H_
