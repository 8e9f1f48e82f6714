// SPDX-License-Identifier: Apache-2.0
// From a base layer to its formulas, and the arithmetic of mixtures on vectors. Included by kernels
// only.
#ifndef MILLRACE_CORE_EXEC_BASE_FORMULAS_H_
#define MILLRACE_CORE_EXEC_BASE_FORMULAS_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "core/base/check.h"
#include "core/base/matrix.h"
#include "core/exec/base_layer.h"
#include "core/math/base_density.h"
#include "core/math/uniform.h"

namespace millrace {

// The parameters of one column of one component, as the formulas take them.
struct BaseColumn {
  double location = 0.0;
  double log_scale = 0.0;
  double scale_slope = 0.0;  // d log_scale / d its parameter
  double shape = 0.0;
};

// `value(slice, row, column)` reads a parameter.
template <typename Value>
BaseColumn ReadBaseColumn(const BaseLayer& layer, int component, int column, const Value& value) {
  BaseColumn c;
  if (layer.location.rows > 0) c.location = value(layer.location, component, column);
  if (layer.log_scale.rows > 0) {
    const double a = value(layer.log_scale, component, column);
    c.log_scale = SoftClip(a);
    c.scale_slope = SoftClipDerivative(a);
  }
  if (layer.shape.rows > 0) c.shape = value(layer.shape, 0, column);
  return c;
}

// Of a mixture's components; they sum to 1.
struct BaseWeights {
  int count = 0;
  std::array<double, BaseLayer::kMaxComponents> log;
};

template <typename Value>
BaseWeights ReadBaseWeights(const BaseLayer& layer, const Value& value) {
  BaseWeights weights;
  weights.count = layer.components;
  double largest = -INFINITY;
  for (int k = 0; k < layer.components; ++k) {
    weights.log[k] = value(layer.logits, 0, k);
    largest = std::max(largest, weights.log[k]);
  }
  double sum = 0.0;
  for (int k = 0; k < layer.components; ++k) sum += std::exp(weights.log[k] - largest);
  for (int k = 0; k < layer.components; ++k) weights.log[k] -= largest + std::log(sum);
  return weights;
}

// use(density) with the formulas of core/math/base_density.h.
template <typename Use>
auto WithBaseDensity(const BaseLayer& layer, double shape, const Use& use) {
  switch (layer.kind) {
    case BaseLayer::Kind::kNormal:
      return use(NormalDensity{});
    case BaseLayer::Kind::kUniform:
      return use(UniformDensity{layer.low, layer.high});
    case BaseLayer::Kind::kLogistic:
      return use(LogisticDensity{});
    case BaseLayer::Kind::kStudentT:
      return use(StudentTDensity(shape));
  }
  MILLRACE_CHECK(false);
  __builtin_unreachable();
}

// ln of the sum of exponentials of element `row` of all vectors; finite where the largest is, NaN
// where any is.
inline double LogSumExp(Vectors terms, int row) {
  double largest = -INFINITY;
  for (int k = 0; k < terms.count; ++k) {
    const double term = terms[k].data[row];
    if (std::isnan(term)) return term;
    largest = std::max(largest, term);
  }
  if (!std::isfinite(largest)) return largest;
  double sum = 0.0;
  for (int k = 0; k < terms.count; ++k) sum += std::exp(terms[k].data[row] - largest);
  return largest + std::log(sum);
}

// Which component row `row` is drawn from; a stream of its own of `seed`.
inline int DrawComponent(const BaseWeights& weights, std::uint64_t seed, std::uint64_t row) {
  constexpr std::uint32_t kComponentStream = 0xC0000001;
  double rest = UniformAt(seed, kComponentStream, row, 0);
  for (int k = 0; k < weights.count - 1; ++k) {
    rest -= std::exp(weights.log[k]);
    if (rest < 0.0) return k;
  }
  return weights.count - 1;
}

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_BASE_FORMULAS_H_
