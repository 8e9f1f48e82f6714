// SPDX-License-Identifier: Apache-2.0
// The knots of a spline from unconstrained logits (Durkan et al. 2019, sec. 3.1): [low, high] is
// cut into K bins of the widths
//
//   width_k = (high - low) (m + (1 - K m) share_k),   share = softmax(logits),   m = 1e-3
//
// The last knot is `high` to the bit, and no bin is empty, whatever the logits.
#ifndef MILLRACE_CORE_MATH_SPLINE_KNOTS_H_
#define MILLRACE_CORE_MATH_SPLINE_KNOTS_H_

#include "core/math/scalar.h"

namespace millrace {

inline constexpr int kMinBins = 2;
inline constexpr int kMaxBins = 32;

template <typename T>
class SplineKnots {
 public:
  static constexpr double kSmallestShare = 1e-3;  // m

  // bins in [kMinBins, kMaxBins]; logits[0 .. bins).
  MILLRACE_HOST_DEVICE SplineKnots(const T* logits, int bins, double low, double high)
      : bins_(bins), scale_((high - low) * (1.0 - bins * kSmallestShare)) {
    T largest = logits[0];
    for (int k = 1; k < bins; ++k) largest = Max(logits[k], largest);
    T sum = T(0.0f);
    for (int k = 0; k < bins; ++k) {
      share_[k] = Exp(logits[k] - largest);
      sum = sum + share_[k];
    }
    const T one_over_sum = T(1.0f) / sum;
    const T smallest = T((high - low) * kSmallestShare);
    knot_[0] = T(low);
    for (int k = 0; k < bins; ++k) {
      share_[k] = share_[k] * one_over_sum;
      knot_[k + 1] = knot_[k] + (smallest + scale_ * share_[k]);
    }
    knot_[bins] = T(high);
  }

  // Bin k is [knot k, knot k + 1].
  MILLRACE_HOST_DEVICE T operator[](int k) const { return knot_[k]; }

  // The adjoint of the widths: turns dL/dwidth of every bin into dL/dlogit.
  MILLRACE_HOST_DEVICE void Adjoint(T* width_bar) const {
    T mean = T(0.0f);
    for (int k = 0; k < bins_; ++k) mean = mean + share_[k] * width_bar[k];
    for (int k = 0; k < bins_; ++k) width_bar[k] = scale_ * share_[k] * (width_bar[k] - mean);
  }

 private:
  int bins_;
  T scale_;
  T share_[kMaxBins];
  T knot_[kMaxBins + 1];
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_SPLINE_KNOTS_H_
