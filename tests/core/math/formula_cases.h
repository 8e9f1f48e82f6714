// SPDX-License-Identifier: Apache-2.0
// Every scalar bijection of core/math, for tests that hold for all: a new one is one line here.
#ifndef MILLRACE_TESTS_CORE_MATH_FORMULA_CASES_H_
#define MILLRACE_TESTS_CORE_MATH_FORMULA_CASES_H_

#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "core/cpu/pack.h"
#include "core/math/additive.h"
#include "core/math/affine.h"
#include "core/math/bijection.h"
#include "core/math/inverse_of.h"
#include "core/math/linear_spline.h"
#include "core/math/log_tails.h"
#include "core/math/mixture.h"
#include "core/math/quadratic_spline.h"
#include "core/math/rational_quadratic.h"
#include "core/math/scale.h"
#include "core/math/shift_and_cube.h"
#include "core/math/softplus.h"
#include "core/math/squash.h"
#include "core/math/standardise.h"
#include "tests/support/dual.h"

namespace millrace {

// The functions of a formula for one kind of number.
template <typename T>
struct FormulaOn {
  std::function<Mapped<T>(T x, const T* theta)> forward;
  std::function<Mapped<T>(T z, const T* theta)> inverse;
  std::function<T(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar)> adjoint;
  std::function<T(T x, const T* theta, T x_bar, T log_det_bar, T* theta_bar)> adjoint_solve;
};

template <typename T, typename F>
FormulaOn<T> MakeFormulaOn(F f) {
  return {[f](T x, const T* theta) { return f.Forward(x, theta); },
          [f](T z, const T* theta) { return f.Inverse(z, theta); },
          [f](T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) {
            return f.Adjoint(x, theta, z_bar, log_det_bar, theta_bar);
          },
          [f](T x, const T* theta, T x_bar, T log_det_bar, T* theta_bar) {
            return AdjointSolve(f, x, theta, x_bar, log_det_bar, theta_bar);
          }};
}

struct FormulaCase {
  std::string name;
  int parameters;
  Interval domain;
  Interval range;
  Interval points;        // where ordinary x are drawn
  bool identity_at_zero;  // theta = 0
  std::tuple<FormulaOn<double>, FormulaOn<float>, FormulaOn<Dual>, FormulaOn<Pack>> on;

  template <typename T>
  const FormulaOn<T>& On() const {
    return std::get<FormulaOn<T>>(on);
  }

  friend std::ostream& operator<<(std::ostream& out, const FormulaCase& c) { return out << c.name; }
};

template <typename F>
FormulaCase MakeFormulaCase(std::string name, F f, Interval points, bool identity_at_zero) {
  return {std::move(name),
          f.parameters(),
          f.Domain(),
          f.Range(),
          points,
          identity_at_zero,
          {MakeFormulaOn<double>(f), MakeFormulaOn<float>(f), MakeFormulaOn<Dual>(f),
           MakeFormulaOn<Pack>(f)}};
}

inline std::vector<FormulaCase> FormulaCases() {
  return {
      MakeFormulaCase("Additive", Additive{}, {-8, 8}, true),
      MakeFormulaCase("Affine", Affine{}, {-8, 8}, true),
      MakeFormulaCase("Scale", Scale{}, {-8, 8}, true),
      MakeFormulaCase("ShiftAndCube", ShiftAndCube{}, {-8, 8}, false),
      MakeFormulaCase("Sigmoid", SigmoidMap{}, {-9, 9}, false),
      MakeFormulaCase("Tanh", TanhMap{}, {-5, 5}, false),
      MakeFormulaCase("Softsign", SoftsignMap{}, {-30, 30}, false),
      MakeFormulaCase("Softplus", SoftplusMap{}, {-30, 30}, false),
      MakeFormulaCase("Standardise", Standardise{}, {-8, 8}, false),
      MakeFormulaCase("LogTails", LogTails{}, {-30, 30}, false),
      MakeFormulaCase("NormalMixture10", NormalMixture{}, {-8, 8}, false),
      MakeFormulaCase("NormalMixture32", NormalMixture{32}, {-8, 8}, false),
      MakeFormulaCase("RationalQuadratic2", RationalQuadratic{2, 3.0}, {-3.5, 3.5}, true),
      MakeFormulaCase("RationalQuadratic8", RationalQuadratic{}, {-6, 6}, true),
      MakeFormulaCase("RationalQuadratic32", RationalQuadratic{32, 10.0}, {-11, 11}, true),
      MakeFormulaCase("InverseAffine", InverseOf(Affine{}), {-8, 8}, true),
      MakeFormulaCase("InverseRationalQuadratic8", InverseOf(RationalQuadratic{}), {-6, 6}, true),
      MakeFormulaCase("LinearSpline2", LinearSpline{2}, {0, 1}, true),
      MakeFormulaCase("LinearSpline32", LinearSpline{32}, {0, 1}, true),
      MakeFormulaCase("QuadraticSpline2", QuadraticSpline{2}, {0, 1}, true),
      MakeFormulaCase("QuadraticSpline8", QuadraticSpline{}, {0, 1}, true),
      MakeFormulaCase("QuadraticSpline32", QuadraticSpline{32}, {0, 1}, true),
  };
}

// One value, its parameters and adjoints of what they are mapped to. Numbers that floats hold.
struct FormulaPoint {
  double x, z_bar, log_det_bar;
  std::vector<double> theta;
};

// Points with parameters of the standard deviations 0, 0.3, 1 and 3, `each` of each.
inline std::vector<FormulaPoint> RandomPoints(const FormulaCase& c, int each) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<float> uniform(static_cast<float>(c.points.low),
                                                static_cast<float>(c.points.high));
  std::normal_distribution<float> normal;
  std::vector<FormulaPoint> points;
  for (const float scale : {0.0f, 0.3f, 1.0f, 3.0f}) {
    for (int i = 0; i < each; ++i) {
      FormulaPoint p = {uniform(random), normal(random), normal(random), {}};
      for (int k = 0; k < c.parameters; ++k) p.theta.push_back(scale * normal(random));
      points.push_back(std::move(p));
    }
  }
  return points;
}

template <typename T>
std::vector<T> ConvertTheta(const std::vector<double>& theta) {
  std::vector<T> converted;
  for (const double value : theta) {
    if constexpr (std::is_same_v<T, Dual> || std::is_same_v<T, double>)
      converted.push_back(T(value));
    else
      converted.push_back(T(static_cast<float>(value)));
  }
  converted.push_back(T(0.0f));  // so that data() is never null
  return converted;
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_CORE_MATH_FORMULA_CASES_H_
