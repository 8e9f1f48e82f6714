// SPDX-License-Identifier: Apache-2.0
// The conditional of MADE-MoG and MAF-MoG (Papamakarios, Pavlakou, Murray 2017) as a bijection:
//
//   z = Phi^-1(F(x)),  log|dz/dx| = ln f(x) - ln phi(z),
//   F(x) = sum_k w_k Phi((x - m_k) / s_k),  f = dF/dx
//
// so that over a standard normal base x is a mixture of normals, exactly. Parameters theta =
// (logits, shifts, log-scales), K each:
//
//   w = softmax(clip(logit)),  m_k = shift_k + o_k,  s_k = s exp(clip(log-scale_k))
//
// Equal components would be given equal gradients, so those of theta = 0 are spread evenly, o_k =
// 1.5 ((2k + 1) / K - 1), with the s that makes the variance 1: within 0.03 nats (KL) of a standard
// normal.
//
// Below the median z comes from F, above it from 1 - F, each by its logarithm, so that z grows like
// x / s_k out to 1e17 standard deviations and is cut there. Between separated components, where F
// has no digits left to change, x is lost and Inverse gives some point of the gap.
#ifndef MILLRACE_CORE_MATH_MIXTURE_H_
#define MILLRACE_CORE_MATH_MIXTURE_H_

#include "core/math/affine.h"
#include "core/math/bijection.h"
#include "core/math/normal_cdf.h"

namespace millrace {

struct NormalMixture {
  static constexpr int kMaxComponents = 32;
  static constexpr double kLogitBound = 30.0;

  int components = 10;  // K, [1, kMaxComponents]

  int parameters() const { return 3 * components; }
  static constexpr Interval Domain() { return kAllReals; }
  static constexpr Interval Range() { return kAllReals; }

  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Forward(T x, const T* theta) const {
    return At(x, Read(theta)).mapped;
  }

  // Newton's method on z, kept inside a bracket and halving it where it hardly moves. At most
  // kMaxSteps; three to six where components overlap.
  template <typename T>
  MILLRACE_HOST_DEVICE Mapped<T> Inverse(T z, const T* theta) const {
    const Components<T> c = Read(theta);
    const T epsilon = Abs(T(3.0f) * (T(4.0 / 3.0) - T(1.0f)) - T(1.0f));  // of T's numbers
    const T tolerance = T(16.0f) * epsilon * (T(1.0f) + Abs(z));
    // The mixture's quantile lies between those of its components, but for rounding.
    T x(0.0f), low(3e38f), high(-3e38f);
    for (int k = 0; k < components; ++k) {
      const T own = c.mean[k] + z * Exp(c.log_scale[k]);
      x = x + c.weight[k] * own;
      low = Select(own < low, own, low);
      high = Max(high, own);
    }
    const T margin = T(16.0f) * epsilon * (Abs(low) + Abs(high));
    low = low - margin;
    high = high + margin;
    Image<T> image = At(x, c);
    T last_move = high - low;
    for (int step = 0; step < kMaxSteps; ++step) {
      const T excess = image.mapped.value - z;
      low = Select(excess < T(0.0f), x, low);
      high = Select(excess > T(0.0f), x, high);
      const T middle = T(0.5f) * low + T(0.5f) * high;
      const T newton = x - excess * Exp(-image.mapped.log_det);
      T next = Select(newton > low, Select(newton < high, newton, middle), middle);
      next = Select(Abs(newton - x) > T(0.5f) * Abs(last_move), middle, next);
      // A row at its solution, or as close as its numbers get, stays where it is.
      next = Select(Abs(newton - x) > T(0.0f), next, x);
      next = Select(Abs(excess) > tolerance, next, x);
      last_move = next - x;
      if (!Any(Abs(last_move) > T(0.0f))) break;
      x = next;
      image = At(x, c);
    }
    // A last step, but not in a gap, where it might be a leap.
    const T newton = x - (image.mapped.value - z) * Exp(-image.mapped.log_det);
    const T last = Select(newton > low, Select(newton < high, newton, x), x);
    x = Select(image.mapped.log_det > T(-6.0f), last, x);
    return {x, -image.mapped.log_det};
  }

  template <typename T>
  MILLRACE_HOST_DEVICE T Adjoint(T x, const T* theta, T z_bar, T log_det_bar, T* theta_bar) const {
    const Components<T> c = Read(theta);
    const Image<T> image = At(x, c);
    // ln f depends on x and theta directly, and log_det on z beside: d(-ln phi(z)) = z dz.
    const T bar = z_bar + log_det_bar * image.mapped.value;
    const T slope = Exp(image.mapped.log_det);
    T x_bar = bar * slope;
    for (int k = 0; k < components; ++k) {
      const T a = image.standardised[k];
      const T r = image.density_share[k];
      const T along = r * (log_det_bar * a * Exp(-c.log_scale[k]) - bar * slope);
      x_bar = x_bar - r * log_det_bar * a * Exp(-c.log_scale[k]);
      theta_bar[k] = bar * image.side * image.mills * (image.cdf_share[k] - c.weight[k]) +
                     log_det_bar * (r - c.weight[k]);
      theta_bar[k] = theta_bar[k] * SoftClipDerivative(theta[k], kLogitBound);
      theta_bar[components + k] = along;
      theta_bar[2 * components + k] = (along * a * Exp(c.log_scale[k]) - r * log_det_bar) *
                                      SoftClipDerivative(theta[2 * components + k]);
    }
    return x_bar;
  }

 private:
  static constexpr int kMaxSteps = 100;
  static constexpr double kSpread = 1.5;
  static constexpr float kFarthest = 1e17f;  // in standard deviations of a component

  template <typename T>
  struct Components {
    T weight[kMaxComponents];
    T log_weight[kMaxComponents];
    T mean[kMaxComponents];
    T log_scale[kMaxComponents];
  };

  template <typename T>
  struct Image {
    Mapped<T> mapped;
    T side;   // 1 where z comes from F, -1 where it comes from 1 - F; call that tail G
    T mills;  // G / phi(z)
    T standardised[kMaxComponents];   // (x - m_k) / s_k
    T cdf_share[kMaxComponents];      // of each component in G; they sum to 1
    T density_share[kMaxComponents];  // of each component in f
  };

  template <typename T>
  MILLRACE_HOST_DEVICE Components<T> Read(const T* theta) const {
    const double n = components;
    const T log_scale(0.5 * Log(1.0 - kSpread * kSpread * (1.0 - 1.0 / (n * n)) / 3.0));
    Components<T> c;
    T largest = SoftClip(theta[0], kLogitBound);
    for (int k = 0; k < components; ++k) {
      c.log_weight[k] = SoftClip(theta[k], kLogitBound);
      largest = Max(largest, c.log_weight[k]);
      c.mean[k] = theta[components + k] + T(kSpread * ((2 * k + 1) / n - 1.0));
      c.log_scale[k] = SoftClip(theta[2 * components + k]) + log_scale;
    }
    T sum(0.0f);
    for (int k = 0; k < components; ++k) sum = sum + Exp(c.log_weight[k] - largest);
    const T normaliser = largest + Log(sum);
    for (int k = 0; k < components; ++k) {
      c.log_weight[k] = c.log_weight[k] - normaliser;
      c.weight[k] = Exp(c.log_weight[k]);
    }
    return c;
  }

  // Shifted sums of exponentials. Shares of G are exp(level) times a factor in (0, 1]; exponents of
  // f are taken relative to those, so that their difference is exact far out in the tails.
  template <typename T>
  MILLRACE_HOST_DEVICE Image<T> At(T x, const Components<T>& c) const {
    Image<T> image;
    T mills[kMaxComponents], level[kMaxComponents], beyond[kMaxComponents];
    T above_half(0.0f);  // F - 1/2
    for (int k = 0; k < components; ++k) {
      const T a = Clamp((x - c.mean[k]) * Exp(-c.log_scale[k]), T(-kFarthest), T(kFarthest));
      image.standardised[k] = a;
      mills[k] = MillsRatio(Abs(a)) * T(kInverseSqrtTwoPi);
      const T within = T(0.5f) - Exp(T(-0.5f) * a * a) * mills[k];
      above_half = above_half + c.weight[k] * Select(a < T(0.0f), -within, within);
    }
    image.side = Select(above_half > T(0.0f), T(-1.0f), T(1.0f));

    T highest(-3e38f);
    for (int k = 0; k < components; ++k) {
      const T energy = T(0.5f) * image.standardised[k] * image.standardised[k];
      const T toward = image.side * image.standardised[k];
      level[k] = c.log_weight[k] - Select(toward < T(0.0f), energy, T(0.0f));
      beyond[k] = Select(toward < T(0.0f), T(0.0f), energy);
      highest = Max(highest, level[k]);
    }
    T cdf_sum(0.0f), densest(-3e38f);
    for (int k = 0; k < components; ++k) {
      const T toward = image.side * image.standardised[k];
      const T part = Select(toward < T(0.0f), mills[k], T(1.0f) - Exp(-beyond[k]) * mills[k]);
      level[k] = level[k] - highest;
      image.cdf_share[k] = Exp(level[k]) * part;
      cdf_sum = cdf_sum + image.cdf_share[k];
      level[k] = level[k] - beyond[k] - c.log_scale[k];
      densest = Max(densest, level[k]);
    }
    T density_sum(0.0f);
    for (int k = 0; k < components; ++k) {
      image.density_share[k] = Exp(level[k] - densest);
      density_sum = density_sum + image.density_share[k];
    }
    for (int k = 0; k < components; ++k) {
      image.cdf_share[k] = image.cdf_share[k] / cdf_sum;
      image.density_share[k] = image.density_share[k] / density_sum;
    }
    const T z = NormalLowerQuantile(highest + Log(cdf_sum));
    image.mills = MillsRatio(-z);
    image.mapped.value = image.side * z;
    image.mapped.log_det =
        densest + Log(density_sum * image.mills * T(kInverseSqrtTwoPi) / cdf_sum);
    return image;
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_MIXTURE_H_
