// SPDX-License-Identifier: Apache-2.0
// Parameters that a program trains by itself: Adam (Kingma, Ba 2015).
#ifndef MILLRACE_CORE_EXAMPLES_ADAM_H_
#define MILLRACE_CORE_EXAMPLES_ADAM_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/exec/parameters.h"

namespace millrace::examples {

// The values of one ParameterLayout, where adjoints add their gradient, and Adam's moments.
struct Trainable {
  explicit Trainable(ParameterValues initial)
      : values(std::move(initial)),
        gradient(values.size()),
        first_moment(values.size()),
        second_moment(values.size()) {}

  void ClearGradient() { std::fill_n(gradient.data(), gradient.size(), 0.0f); }

  // One step against the gradient.
  void Step(double learning_rate) {
    constexpr float kBeta1 = 0.9f, kBeta2 = 0.999f, kEpsilon = 1e-8f;
    ++steps;
    const double correction1 = 1.0 - std::pow(kBeta1, steps);
    const double correction2 = 1.0 - std::pow(kBeta2, steps);
    const auto rate = static_cast<float>(learning_rate / correction1);
    const auto root_correction = static_cast<float>(1.0 / std::sqrt(correction2));
    for (std::size_t i = 0; i < values.size(); ++i) {
      float& m = first_moment[i];
      float& v = second_moment[i];
      m += (1.0f - kBeta1) * (gradient[i] - m);
      v += (1.0f - kBeta2) * (gradient[i] * gradient[i] - v);
      values[i] -= rate * m / (std::sqrt(v) * root_correction + kEpsilon);
    }
  }

  ParameterValues values;
  ParameterValues gradient;
  ParameterValues first_moment;
  ParameterValues second_moment;
  std::int64_t steps = 0;
};

}  // namespace millrace::examples

#endif  // MILLRACE_CORE_EXAMPLES_ADAM_H_
