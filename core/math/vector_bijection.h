// SPDX-License-Identifier: Apache-2.0
// What a bijection of whole rows is made of. Each stands in a header of its own as a class of
// formulas F. Its parameters theta are common to all rows and mean something for every finite
// value; what rows need of them, p, is prepared once for many rows:
//
//   int parameters() const;                              // of theta
//   int prepared() const;                                // of p
//   int workspace() const;                               // of what Prepare leaves for its adjoint
//   void Initialise(uniform, float* theta) const;        // uniform(i) in (-1, 1)
//   void Prepare(const T* theta, T* p, T* work) const;
//   void PrepareAdjoint(const T* theta, const T* p, T* work, const T* p_bar,
//                       T* theta_bar) const;             // adds to theta_bar
//
//   T Forward(const P* p, Row x) const;                  // x becomes z; returns log|det dz/dx|
//   T Inverse(const P* p, Row z) const;                  // z becomes x; returns log|det dx/dz|
//   void Adjoint(const P* p, X x, Row grad, T log_det_bar, T* p_bar) const;
//   void TransposedSolve(const P* p, X x, Row grad) const;
//
// Adjoint is that of Forward: grad holds dL/dz and becomes dL/dx; what the row contributes is added
// to p_bar, unless that is null. It is linear in (grad, log_det_bar). TransposedSolve turns g into
// the v with J^T v = g, J = dz/dx at x. A Row is a view of numbers T = Row::Value, float, double,
// dual numbers or SIMD packs: x[c] reads, x.Set(c, value) writes; an X is a Row that is only read.
// Nothing branches on data.
#ifndef MILLRACE_CORE_MATH_VECTOR_BIJECTION_H_
#define MILLRACE_CORE_MATH_VECTOR_BIJECTION_H_

#include "core/math/scalar.h"

namespace millrace {

// sum of a[c] x[c].
template <typename T, typename P, typename Row>
MILLRACE_HOST_DEVICE inline T Dot(const P* a, Row x, int dim) {
  T sum(0.0f);
  for (int c = 0; c < dim; ++c) sum = sum + T(a[c]) * x[c];
  return sum;
}

// x += factor * a
template <typename T, typename P, typename Row>
MILLRACE_HOST_DEVICE inline void AddScaled(T factor, const P* a, int dim, Row x) {
  for (int c = 0; c < dim; ++c) x.Set(c, x[c] + factor * T(a[c]));
}

// A row whose numbers stand in an array.
template <typename T>
struct ArrayRow {
  using Value = T;
  T* data;
  MILLRACE_HOST_DEVICE T operator[](int c) const { return data[c]; }
  MILLRACE_HOST_DEVICE void Set(int c, T value) const { data[c] = value; }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_VECTOR_BIJECTION_H_
