// SPDX-License-Identifier: Apache-2.0
// Activations whose derivative is a function of their own value; SlopeDerivative is the derivative
// of that function.
#ifndef MILLRACE_CORE_MATH_ACTIVATION_H_
#define MILLRACE_CORE_MATH_ACTIVATION_H_

#include "core/math/scalar.h"

namespace millrace {

struct Identity {
  template <typename T>
  MILLRACE_HOST_DEVICE static T Value(T a) {
    return a;
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T Derivative(T) {
    return T(1.0f);
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T SlopeDerivative(T) {
    return T(0.0f);
  }
};

struct Relu {
  template <typename T>
  MILLRACE_HOST_DEVICE static T Value(T a) {
    return Select(a < T(0.0f), T(0.0f), a);
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T Derivative(T value) {
    return Select(value > T(0.0f), T(1.0f), T(0.0f));
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T SlopeDerivative(T) {
    return T(0.0f);
  }
};

struct HyperbolicTangent {
  template <typename T>
  MILLRACE_HOST_DEVICE static T Value(T a) {
    return Tanh(a);
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T Derivative(T value) {
    return T(1.0f) - value * value;
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T SlopeDerivative(T value) {
    return T(-2.0f) * value;
  }
};

// a for a > 0, else exp(a) - 1 (Clevert, Unterthiner, Hochreiter 2016).
struct Elu {
  template <typename T>
  MILLRACE_HOST_DEVICE static T Value(T a) {
    const T negative = Select(a > T(0.0f), T(0.0f), a);
    return Select(a > T(0.0f), a, Exp(negative) - T(1.0f));
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T Derivative(T value) {
    return Select(value > T(0.0f), T(1.0f), value + T(1.0f));
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T SlopeDerivative(T value) {
    return Select(value > T(0.0f), T(0.0f), T(1.0f));
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_ACTIVATION_H_
