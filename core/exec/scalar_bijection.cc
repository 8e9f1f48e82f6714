// SPDX-License-Identifier: Apache-2.0
#include "core/exec/scalar_bijection.h"

#include "core/exec/formulas.h"

namespace millrace {

bool ScalarBijection::HasBins() const {
  switch (kind) {
    case Kind::kLinearSpline:
    case Kind::kQuadraticSpline:
    case Kind::kRationalQuadratic:
    case Kind::kNormalMixture:
    case Kind::kInverseRationalQuadratic:
      return true;
    default:
      return false;
  }
}

bool ScalarBijection::HasBound() const {
  return kind == Kind::kRationalQuadratic || kind == Kind::kInverseRationalQuadratic;
}

int ScalarBijection::parameters() const {
  return WithFormula(*this, [](const auto& formula) { return formula.parameters(); });
}

Interval ScalarBijection::domain() const {
  return WithFormula(*this, [](const auto& formula) -> Interval { return formula.Domain(); });
}

Interval ScalarBijection::range() const {
  return WithFormula(*this, [](const auto& formula) -> Interval { return formula.Range(); });
}

double ScalarBijection::Image(double value, bool inverse) const {
  MILLRACE_CHECK(parameters() == 0);
  return WithFormula(*this, [&](const auto& formula) {
    const double* const none = nullptr;
    return inverse ? formula.Inverse(value, none).value : formula.Forward(value, none).value;
  });
}

}  // namespace millrace
