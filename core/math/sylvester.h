// SPDX-License-Identifier: Apache-2.0
// The Sylvester map with Householder reflections (van den Berg, Hasenclever, Tomczak, Welling 2018,
// eq. 13), of width M:
//
//   z = x + Q R tanh(S Q^T x + b)
//
// Q [dim, M] holds the first columns of H_1 .. H_M, H_k = I - 2 v_k v_k^T / |v_k|^2; R and S are
// upper triangular with r_ii = c tanh(.), s_ii = c tanh(.), so that r_ii s_ii > -1 whatever theta
// is. A vector v_k of no length reflects nothing.
//
// theta = (v_1, .. v_M; R by rows from the diagonal; S likewise; b). p is that of LowRank with
// A = Q R, B = S Q^T, C = S R.
#ifndef MILLRACE_CORE_MATH_SYLVESTER_H_
#define MILLRACE_CORE_MATH_SYLVESTER_H_

#include "core/math/low_rank.h"

namespace millrace {

class SylvesterMap : public LowRank {
 public:
  // 1 <= width <= min(dim, kMaxWidth).
  constexpr SylvesterMap(int dim, int width) : LowRank(dim, width) {}

  int parameters() const { return shift() + width(); }
  int workspace() const { return (width() + 2) * dim(); }

  template <typename Uniform>
  void Initialise(const Uniform& uniform, float* theta) const {
    for (int i = 0; i < r(0, 0); ++i) theta[i] = static_cast<float>(uniform(i));
    for (int i = r(0, 0); i < s(0, 0); ++i) theta[i] = static_cast<float>(0.1 * uniform(i));
    for (int i = s(0, 0); i < parameters(); ++i) theta[i] = static_cast<float>(0.3 * uniform(i));
    for (int i = 0; i < width(); ++i) theta[s(i, i)] = 1.0f;
  }

  // Leaves Q in `work`, a column after the other.
  template <typename T>
  void Prepare(const T* theta, T* p, T* work) const {
    for (int i = 0; i < width(); ++i) {
      T* const q = work + i * dim();
      for (int c = 0; c < dim(); ++c) q[c] = T(c == i ? 1.0f : 0.0f);
      for (int k = width() - 1; k >= 0; --k) Reflect(theta + k * dim(), q);
    }
    for (int i = 0; i < prepared(); ++i) p[i] = T(0.0f);
    for (int i = 0; i < width(); ++i) {
      for (int j = i; j < width(); ++j) {
        AddScaled(R(theta, i, j), work + i * dim(), dim(), ArrayRow<T>{p + offset_a(j)});
        AddScaled(S(theta, i, j), work + j * dim(), dim(), ArrayRow<T>{p + offset_b(i)});
        T& c = p[offset_c() + i * width() + j];
        for (int k = i; k <= j; ++k) c = c + S(theta, i, k) * R(theta, k, j);
      }
      p[offset_shift() + i] = theta[shift() + i];
    }
  }

  // Uses `work` after Q for q_bar and one column.
  template <typename T>
  void PrepareAdjoint(const T* theta, const T* /*p*/, T* work, const T* p_bar, T* theta_bar) const {
    const auto dot = [this](const T* a, const T* b) {
      return Dot<T>(a, ArrayRow<const T>{b}, dim());
    };
    T* const q_bar = work + width() * dim();
    for (int i = 0; i < width(); ++i) {
      const T* const q = work + i * dim();
      const ArrayRow<T> bar{q_bar};
      for (int c = 0; c < dim(); ++c) q_bar[c] = T(0.0f);
      for (int j = i; j < width(); ++j) {
        const T r_bar = dot(q, p_bar + offset_a(j));
        const T s_bar = dot(work + j * dim(), p_bar + offset_b(i));
        const T c_bar = i == j ? p_bar[offset_c() + i * width() + i] : T(0.0f);
        T& r_to = theta_bar[r(i, j)];
        T& s_to = theta_bar[s(i, j)];
        r_to = r_to + (r_bar + c_bar * S(theta, i, j)) * EntrySlope(theta[r(i, j)], i == j);
        s_to = s_to + (s_bar + c_bar * R(theta, i, j)) * EntrySlope(theta[s(i, j)], i == j);
        AddScaled(R(theta, i, j), p_bar + offset_a(j), dim(), bar);
      }
      for (int j = 0; j <= i; ++j) AddScaled(S(theta, j, i), p_bar + offset_b(j), dim(), bar);
      T* const column = q_bar + dim();
      for (int c = 0; c < dim(); ++c) column[c] = q[c];
      for (int k = 0; k < width(); ++k)
        ReflectAdjoint(theta + k * dim(), column, q_bar, theta_bar + k * dim());
      theta_bar[shift() + i] = theta_bar[shift() + i] + p_bar[offset_shift() + i];
    }
  }

 private:
  static constexpr double kLargestDiagonal = 0.99949987493746;  // sqrt(1 - kLeastSlope)

  // Where the parts of theta stand; i <= j.
  int r(int i, int j) const { return width() * dim() + i * width() - i * (i - 1) / 2 + j - i; }
  int s(int i, int j) const { return r(i, j) + width() * (width() + 1) / 2; }
  int shift() const { return width() * (dim() + width() + 1); }

  template <typename T>
  static T Entry(T value, bool diagonal) {
    return diagonal ? T(kLargestDiagonal) * Tanh(value) : value;
  }
  template <typename T>
  static T EntrySlope(T value, bool diagonal) {
    const T t = Tanh(value);
    return diagonal ? T(kLargestDiagonal) * (T(1.0f) - t * t) : T(1.0f);
  }
  template <typename T>
  T R(const T* theta, int i, int j) const {
    return Entry(theta[r(i, j)], i == j);
  }
  template <typename T>
  T S(const T* theta, int i, int j) const {
    return Entry(theta[s(i, j)], i == j);
  }

  // 2 / |v|^2, or 0 where v has no length.
  template <typename T>
  T Weight(const T* v) const {
    const T square = Dot<T>(v, ArrayRow<const T>{v}, dim());
    const auto none = square < T(1e-30f);
    return Select(none, T(0.0f), T(2.0f) / Select(none, T(1.0f), square));
  }

  // q = H q
  template <typename T>
  void Reflect(const T* v, T* q) const {
    const T factor = Weight(v) * Dot<T>(v, ArrayRow<const T>{q}, dim());
    AddScaled(-factor, v, dim(), ArrayRow<T>{q});
  }

  // Of `after` = H before: turns both `after` and after_bar back, adds to v_bar.
  template <typename T>
  void ReflectAdjoint(const T* v, T* after, T* after_bar, T* v_bar) const {
    const T weight = Weight(v);
    Reflect(v, after);
    const T along = Dot<T>(v, ArrayRow<const T>{after}, dim());
    const T bar_along = Dot<T>(v, ArrayRow<const T>{after_bar}, dim());
    for (int c = 0; c < dim(); ++c)
      v_bar[c] = v_bar[c] - weight * (bar_along * after[c] + along * after_bar[c]) +
                 weight * weight * along * bar_along * v[c];
    Reflect(v, after_bar);
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_SYLVESTER_H_
