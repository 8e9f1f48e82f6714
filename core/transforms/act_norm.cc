// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/act_norm.h"

#include <algorithm>
#include <cmath>

#include "core/math/affine.h"

namespace millrace {

void ActNorm::InitialiseFromMoments(const Moments& moments, std::span<float> parameters) const {
  const auto affine = parameters.subspan(theta().offset, theta().extent());
  for (int c = 0; c < dim(); ++c) {
    const double variance = moments.covariance[static_cast<std::size_t>(c) * dim() + c];
    const double a = SoftClipInverse(-0.5 * std::log(std::max(variance, 1e-12)));
    affine[2 * c] = static_cast<float>(-moments.mean[c] * std::exp(SoftClip(a)));
    affine[2 * c + 1] = static_cast<float>(a);
  }
}

}  // namespace millrace
