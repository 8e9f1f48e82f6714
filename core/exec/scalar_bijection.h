// SPDX-License-Identifier: Apache-2.0
// Which scalar bijection of core/math, with its sizes. Plain values: specs and kernels name
// bijections by it.
#ifndef MILLRACE_CORE_EXEC_SCALAR_BIJECTION_H_
#define MILLRACE_CORE_EXEC_SCALAR_BIJECTION_H_

#include "core/math/bijection.h"

namespace millrace {

struct ScalarBijection {
  enum class Kind {
    kAffine,
    kAdditive,
    kScale,
    kShiftAndCube,
    kSigmoid,
    kTanh,
    kSoftsign,
    kSoftplus,
    kLogTails,
    kLinearSpline,       // on [0, 1]
    kQuadraticSpline,    // on [0, 1]
    kRationalQuadratic,  // on [-bound, bound], the identity outside
    kStandardise,        // by a mean and a variance: of BatchNorm
    kNormalMixture,      // the map from a mixture of normals to a normal
    kInverseAffine,
    kInverseRationalQuadratic,
  };
  Kind kind = Kind::kAffine;
  static constexpr int kMinBins = 2;
  static constexpr int kMaxBins = 32;
  int bins = 8;        // of splines, [kMinBins, kMaxBins]; components of mixtures, [1, kMaxBins]
  double bound = 5.0;  // of splines with linear tails

  bool HasBins() const;
  bool HasBound() const;
  int parameters() const;   // of one value
  Interval domain() const;  // what Forward is meant for
  Interval range() const;   // what Inverse is meant for
  // Forward, or Inverse, of a bijection without parameters.
  double Image(double value, bool inverse) const;

  friend bool operator==(const ScalarBijection&, const ScalarBijection&) = default;
};

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_SCALAR_BIJECTION_H_
