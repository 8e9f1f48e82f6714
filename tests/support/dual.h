// SPDX-License-Identifier: Apache-2.0
// Dual numbers: a value and its derivative with respect to one variable (forward-mode
// differentiation). Every formula of core/math runs on them, which is how its hand-derived adjoint
// is checked.
#ifndef MILLRACE_TESTS_SUPPORT_DUAL_H_
#define MILLRACE_TESTS_SUPPORT_DUAL_H_

#include <cmath>
#include <numbers>

namespace millrace {

struct Dual {
  double value = 0.0;
  double slope = 0.0;

  constexpr Dual() = default;
  constexpr explicit Dual(double v, double s = 0.0) : value(v), slope(s) {}
};

// The variable derivatives are taken in.
constexpr Dual Variable(double value) { return Dual(value, 1.0); }

constexpr Dual operator+(Dual a, Dual b) { return Dual(a.value + b.value, a.slope + b.slope); }
constexpr Dual operator-(Dual a, Dual b) { return Dual(a.value - b.value, a.slope - b.slope); }
constexpr Dual operator-(Dual a) { return Dual(-a.value, -a.slope); }
constexpr Dual operator*(Dual a, Dual b) {
  return Dual(a.value * b.value, a.slope * b.value + a.value * b.slope);
}
constexpr Dual operator/(Dual a, Dual b) {
  const double ratio = a.value / b.value;
  return Dual(ratio, (a.slope - ratio * b.slope) / b.value);
}
constexpr bool operator>(Dual a, Dual b) { return a.value > b.value; }
constexpr bool operator>=(Dual a, Dual b) { return a.value >= b.value; }
constexpr bool operator<(Dual a, Dual b) { return a.value < b.value; }

constexpr Dual Select(bool mask, Dual a, Dual b) { return mask ? a : b; }
inline Dual Abs(Dual a) { return a.value < 0 ? -a : a; }
inline Dual Exp(Dual a) { return Dual(std::exp(a.value), std::exp(a.value) * a.slope); }
inline Dual Log(Dual a) { return Dual(std::log(a.value), a.slope / a.value); }
inline Dual Sqrt(Dual a) { return Dual(std::sqrt(a.value), a.slope / (2 * std::sqrt(a.value))); }
inline Dual Cbrt(Dual a) {
  const double root = std::cbrt(a.value);
  return Dual(root, a.slope / (3 * root * root));
}
inline Dual Tanh(Dual a) {
  const double t = std::tanh(a.value);
  return Dual(t, (1 - t * t) * a.slope);
}
inline Dual SinTurn(Dual a) {
  const double turn = 2 * std::numbers::pi;
  return Dual(std::sin(turn * a.value), turn * std::cos(turn * a.value) * a.slope);
}
inline Dual CosTurn(Dual a) {
  const double turn = 2 * std::numbers::pi;
  return Dual(std::cos(turn * a.value), -turn * std::sin(turn * a.value) * a.slope);
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_DUAL_H_
