// SPDX-License-Identifier: Apache-2.0
// The distributions of single numbers that bases are made of, each as a class D in standard
// position:
//
//   T LogDensity(T w) const;
//   T Slope(T w) const;        // d LogDensity / dw
//   T ShapeSlope(T w) const;   // d LogDensity / d(shape parameter); 0 where there is none
//
// and as functions of uniform numbers that draw from it.
#ifndef MILLRACE_CORE_MATH_BASE_DENSITY_H_
#define MILLRACE_CORE_MATH_BASE_DENSITY_H_

#include "core/math/affine.h"
#include "core/math/gamma.h"
#include "core/math/normal_cdf.h"
#include "core/math/scalar.h"

namespace millrace {

struct NormalDensity {
  template <typename T>
  MILLRACE_HOST_DEVICE static T LogDensity(T w) {
    return T(-0.5f) * w * w - T(kHalfLogTwoPi);
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T Slope(T w) {
    return -w;
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T ShapeSlope(T) {
    return T(0.0f);
  }
};

// On (low, high). A number outside counts as one inside.
struct UniformDensity {
  double low, high;

  template <typename T>
  MILLRACE_HOST_DEVICE T LogDensity(T) const {
    return T(-Log(high - low));
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T Slope(T) {
    return T(0.0f);
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T ShapeSlope(T) {
    return T(0.0f);
  }
};

// With scale 1, its variance is pi^2 / 3.
struct LogisticDensity {
  template <typename T>
  MILLRACE_HOST_DEVICE static T LogDensity(T w) {
    return -Abs(w) - T(2.0f) * Log1p(Exp(-Abs(w)));
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T Slope(T w) {
    return -Tanh(T(0.5f) * w);
  }
  template <typename T>
  MILLRACE_HOST_DEVICE static T ShapeSlope(T) {
    return T(0.0f);
  }
};

// Student's t with nu degrees of freedom, by the shape parameter a: nu = exp(b + clip(a)), b = half
// of ln 1000, clip as in core/math/affine.h with bound b. So nu is in (1, 1000), and about 32 for a
// = 0.
struct StudentTDensity {
  static constexpr double kHalfLogMost = 0.5 * 6.907755278982137;

  explicit StudentTDensity(double shape)
      : freedom(Exp(kHalfLogMost + SoftClip(shape, kHalfLogMost))),
        freedom_slope(freedom * SoftClipDerivative(shape, kHalfLogMost)),
        log_normaliser(LogGamma(0.5 * (freedom + 1.0)) - LogGamma(0.5 * freedom) -
                       0.5 * Log(3.14159265358979323846 * freedom)),
        log_normaliser_slope(
            0.5 * (Digamma(0.5 * (freedom + 1.0)) - Digamma(0.5 * freedom) - 1.0 / freedom)) {}

  template <typename T>
  MILLRACE_HOST_DEVICE T LogDensity(T w) const {
    return T(log_normaliser) - T(0.5 * (freedom + 1.0)) * LogOnePlusShare(w);
  }
  template <typename T>
  MILLRACE_HOST_DEVICE T Slope(T w) const {
    return T(-(freedom + 1.0)) * w / (T(freedom) + w * w);
  }
  template <typename T>
  MILLRACE_HOST_DEVICE T ShapeSlope(T w) const {
    const T q = w * w * T(1.0 / freedom);
    const T finite = Clamp(q, T(0.0f), T(1e30f));
    const T by_freedom = T(log_normaliser_slope) - T(0.5f) * LogOnePlusShare(w) +
                         T(0.5 * (freedom + 1.0) / freedom) * finite / (T(1.0f) + finite);
    return by_freedom * T(freedom_slope);
  }

  // ln(1 + w^2 / nu), of every finite w: beyond 1e15 the 1 is nothing, and the square may overflow.
  template <typename T>
  MILLRACE_HOST_DEVICE T LogOnePlusShare(T w) const {
    const T size = Abs(w);
    const T log = Log1p(Select(size < T(1e15f), w * w * T(1.0 / freedom), size));
    return Select(size < T(1e15f), log, T(2.0f) * log - T(Log(freedom)));
  }

  double freedom;        // nu
  double freedom_slope;  // d nu / d shape
  double log_normaliser;
  double log_normaliser_slope;  // in nu
};

// A word of 32 random bits, as a signed number, to a uniform number on [-1, 1] that is never 0.
template <typename T>
MILLRACE_HOST_DEVICE inline T SignedUniform(T signed_word) {
  return (signed_word + T(0.5f)) * T(4.656612873077393e-10f);  // 2^-31
}

// Standard logistic, of a uniform v on [-1, 1]: |v| is the mass beyond the number's magnitude.
template <typename T>
MILLRACE_HOST_DEVICE inline T LogisticSample(T v) {
  const T tail = Abs(v);
  return WithSignOf(v, Log((T(2.0f) - tail) / tail));
}

// Uniform on (-1/2, 1/2), of a uniform v on [-1, 1].
template <typename T>
MILLRACE_HOST_DEVICE inline T CentredUniformSample(T v) {
  return Clamp(T(0.5f) * v, T(-0.4999999f), T(0.4999999f));
}

// Student's t by the polar method of Bailey (1994), sqrt(nu (U^(-2 / nu) - 1)) cos(2 pi V), of two
// words as numbers in [0, 2^32); and its derivative in nu for given words.
template <typename T>
struct StudentTSample {
  T value;
  T freedom_slope;
};

template <typename T>
MILLRACE_HOST_DEVICE inline StudentTSample<T> SampleStudentT(T freedom, T radius_word,
                                                             T angle_word) {
  const T unit = T(2.3283064365386963e-10f);  // 2^-32
  const T log_u = Log((radius_word + T(0.5f)) * unit);
  const T p = T(-2.0f) * log_u / freedom;
  // exp(p) - 1 to full accuracy.
  const T half = Tanh(T(0.5f) * Select(p < T(1.0f), p, T(1.0f)));
  const T grown = Select(p < T(1.0f), T(2.0f) * half / (T(1.0f) - half), Exp(p) - T(1.0f));
  const T radius = Sqrt(freedom * grown);
  const T cosine = CosTurn(angle_word * unit);
  // d(nu (e^p - 1)) / d nu = e^p - 1 - p e^p; the radius is 0 where U rounds to 1.
  const T slope = T(0.5f) * (grown - p * (grown + T(1.0f)));
  const T inverse = Select(radius > T(0.0f), T(1.0f) / radius, T(0.0f));
  return {radius * cosine, slope * inverse * cosine};
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_BASE_DENSITY_H_
