// SPDX-License-Identifier: Apache-2.0
// From the name of a scalar bijection to its formulas. Included by kernels only.
#ifndef MILLRACE_CORE_EXEC_FORMULAS_H_
#define MILLRACE_CORE_EXEC_FORMULAS_H_

#include "core/base/check.h"
#include "core/exec/scalar_bijection.h"
#include "core/math/additive.h"
#include "core/math/affine.h"
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

namespace millrace {

// use(formula) with the formula (core/math/bijection.h) of `bijection`.
template <typename Use>
auto WithFormula(const ScalarBijection& bijection, const Use& use) {
  switch (bijection.kind) {
    case ScalarBijection::Kind::kAffine:
      return use(Affine{});
    case ScalarBijection::Kind::kAdditive:
      return use(Additive{});
    case ScalarBijection::Kind::kScale:
      return use(Scale{});
    case ScalarBijection::Kind::kShiftAndCube:
      return use(ShiftAndCube{});
    case ScalarBijection::Kind::kSigmoid:
      return use(SigmoidMap{});
    case ScalarBijection::Kind::kTanh:
      return use(TanhMap{});
    case ScalarBijection::Kind::kSoftsign:
      return use(SoftsignMap{});
    case ScalarBijection::Kind::kSoftplus:
      return use(SoftplusMap{});
    case ScalarBijection::Kind::kLogTails:
      return use(LogTails{});
    case ScalarBijection::Kind::kLinearSpline:
      return use(LinearSpline{bijection.bins});
    case ScalarBijection::Kind::kQuadraticSpline:
      return use(QuadraticSpline{bijection.bins});
    case ScalarBijection::Kind::kRationalQuadratic:
      return use(RationalQuadratic{bijection.bins, bijection.bound});
    case ScalarBijection::Kind::kStandardise:
      return use(Standardise{});
    case ScalarBijection::Kind::kNormalMixture:
      return use(NormalMixture{bijection.bins});
    case ScalarBijection::Kind::kInverseAffine:
      return use(InverseOf(Affine{}));
    case ScalarBijection::Kind::kInverseRationalQuadratic:
      return use(InverseOf(RationalQuadratic{bijection.bins, bijection.bound}));
  }
  MILLRACE_CHECK(false);
  __builtin_unreachable();
}

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_FORMULAS_H_
