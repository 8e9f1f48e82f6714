// SPDX-License-Identifier: Apache-2.0
// From the name of a bijection of whole rows to its formulas. Included by kernels only.
#ifndef MILLRACE_CORE_EXEC_VECTOR_FORMULAS_H_
#define MILLRACE_CORE_EXEC_VECTOR_FORMULAS_H_

#include "core/base/check.h"
#include "core/exec/vector_bijection.h"
#include "core/math/planar.h"
#include "core/math/radial.h"
#include "core/math/rotation.h"
#include "core/math/sylvester.h"

namespace millrace {

// use(formula) with the formula (core/math/vector_bijection.h) of `bijection` on rows of `dim`.
template <typename Use>
auto WithFormula(const VectorBijection& bijection, int dim, const Use& use) {
  switch (bijection.kind) {
    case VectorBijection::Kind::kPlanar:
      return use(PlanarMap{dim});
    case VectorBijection::Kind::kRadial:
      return use(RadialMap{dim});
    case VectorBijection::Kind::kSylvester:
      return use(SylvesterMap{dim, bijection.width});
    case VectorBijection::Kind::kRotation:
      return use(RotationMap{bijection.first, bijection.second});
  }
  MILLRACE_CHECK(false);
  __builtin_unreachable();
}

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_VECTOR_FORMULAS_H_
