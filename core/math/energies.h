// SPDX-License-Identifier: Apache-2.0
// Densities of two numbers that fits are tried on, each as
//
//   T LogDensity(T x, T y);          // ln p, not normalised unless said
//   PlaneSlope<T> Slope(T x, T y);   // its derivatives
//
// EnergyU1 .. EnergyU4 are ln p = -U(z) of Rezende and Mohamed 2015, table 1. The last three go on
// for ever along x: a fence lets them fall off like normals beyond |x| = 4, so that they have an
// integral.
#ifndef MILLRACE_CORE_MATH_ENERGIES_H_
#define MILLRACE_CORE_MATH_ENERGIES_H_

#include "core/math/scalar.h"

namespace millrace {

template <typename T>
struct PlaneSlope {
  T x, y;
};

// -((v - centre) / width)^2 / 2 and its derivative.
template <typename T>
inline T LogBump(T v, double centre, double width) {
  const T w = (v - T(centre)) / T(width);
  return T(-0.5) * w * w;
}
template <typename T>
inline T LogBumpSlope(T v, double centre, double width) {
  return (T(centre) - v) / T(width * width);
}

// ln(e^a + e^b), and the share of e^a in it.
template <typename T>
inline T LogAddExp(T a, T b) {
  return Max(a, b) + Log1p(Exp(-Abs(a - b)));
}
template <typename T>
inline T ShareOfFirst(T a, T b) {
  return Exp(a - LogAddExp(a, b));
}

// A ring of radius 2, brightest on the left and on the right.
struct EnergyU1 {
  template <typename T>
  static T LogDensity(T x, T y) {
    return LogBump(Sqrt(x * x + y * y), 2.0, 0.4) +
           LogAddExp(LogBump(x, 2.0, 0.6), LogBump(x, -2.0, 0.6));
  }
  template <typename T>
  static PlaneSlope<T> Slope(T x, T y) {
    const T radius = Max(Sqrt(x * x + y * y), T(1e-300));
    const T along_radius = LogBumpSlope(radius, 2.0, 0.4) / radius;
    const T right = ShareOfFirst(LogBump(x, 2.0, 0.6), LogBump(x, -2.0, 0.6));
    return {along_radius * x + right * LogBumpSlope(x, 2.0, 0.6) +
                (T(1.0) - right) * LogBumpSlope(x, -2.0, 0.6),
            along_radius * y};
  }
};

// w1 of the paper, sin(2 pi x / 4), and its derivative.
template <typename T>
inline T Wave(T x) {
  return SinTurn(T(0.25) * x);
}
template <typename T>
inline T WaveSlope(T x) {
  return T(1.570796326794896619) * CosTurn(T(0.25) * x);
}

// ln of the fence.
template <typename T>
inline T LogFence(T x) {
  return LogBump(Max(Abs(x) - T(4.0), T(0.0)), 0.0, 0.5);
}
template <typename T>
inline T LogFenceSlope(T x) {
  return WithSignOf(x, T(1.0)) * LogBumpSlope(Max(Abs(x) - T(4.0), T(0.0)), 0.0, 0.5);
}

// A wave.
struct EnergyU2 {
  template <typename T>
  static T LogDensity(T x, T y) {
    return LogBump(y - Wave(x), 0.0, 0.4) + LogFence(x);
  }
  template <typename T>
  static PlaneSlope<T> Slope(T x, T y) {
    const T across = LogBumpSlope(y - Wave(x), 0.0, 0.4);
    return {LogFenceSlope(x) - across * WaveSlope(x), across};
  }
};

// Two waves, of which the second lies Branch::Drop(x) lower.
template <typename Branch>
struct ForkedWave {
  template <typename T>
  static T LogDensity(T x, T y) {
    const T height = y - Wave(x);
    return LogAddExp(LogBump(height, 0.0, Branch::kWidth),
                     LogBump(height + Branch::Drop(x), 0.0, 0.35)) +
           LogFence(x);
  }
  template <typename T>
  static PlaneSlope<T> Slope(T x, T y) {
    const T upper = y - Wave(x), lower = upper + Branch::Drop(x);
    const T share = ShareOfFirst(LogBump(upper, 0.0, Branch::kWidth), LogBump(lower, 0.0, 0.35));
    const T of_upper = share * LogBumpSlope(upper, 0.0, Branch::kWidth);
    const T of_lower = (T(1.0) - share) * LogBumpSlope(lower, 0.0, 0.35);
    return {
        LogFenceSlope(x) - (of_upper + of_lower) * WaveSlope(x) + of_lower * Branch::DropSlope(x),
        of_upper + of_lower};
  }
};

// The second wave leaves the first about x = 1 and comes back: w2 of the paper.
struct BumpBranch {
  static constexpr double kWidth = 0.35;
  template <typename T>
  static T Drop(T x) {
    return T(3.0) * Exp(LogBump(x, 1.0, 0.6));
  }
  template <typename T>
  static T DropSlope(T x) {
    return Drop(x) * LogBumpSlope(x, 1.0, 0.6);
  }
};
using EnergyU3 = ForkedWave<BumpBranch>;

// It stays away: w3 of the paper.
struct StepBranch {
  static constexpr double kWidth = 0.4;
  template <typename T>
  static T Share(T x) {
    return T(0.5) + T(0.5) * Tanh((x - T(1.0)) / T(0.6));
  }
  template <typename T>
  static T Drop(T x) {
    return T(3.0) * Share(x);
  }
  template <typename T>
  static T DropSlope(T x) {
    return T(10.0) * Share(x) * (T(1.0) - Share(x));
  }
};
using EnergyU4 = ForkedWave<StepBranch>;

// A normal bent along a parabola (Haario, Saksman, Tamminen 1999): x has the deviation 2, y the
// deviation 0.5 about x^2 / 4 - 1. Its integral is 2 pi.
struct BananaEnergy {
  template <typename T>
  static T LogDensity(T x, T y) {
    return LogBump(x, 0.0, 2.0) + LogBump(y - T(0.25) * x * x, -1.0, 0.5);
  }
  template <typename T>
  static PlaneSlope<T> Slope(T x, T y) {
    const T across = LogBumpSlope(y - T(0.25) * x * x, -1.0, 0.5);
    return {LogBumpSlope(x, 0.0, 2.0) - T(0.5) * x * across, across};
  }
};

// Five normals of deviation 0.6 and different weights on a circle of radius 3, about six deviations
// apart; normalised.
struct MixtureEnergy {
  static constexpr int kModes = 5;
  static constexpr double kDeviation = 0.6;
  // Weight and centre; the weights sum to 1.
  static constexpr double kMode[kModes][3] = {{0.30, 3.0, 0.0},
                                              {0.25, 0.92705098, 2.85316955},
                                              {0.20, -2.42705098, 1.76335576},
                                              {0.15, -2.42705098, -1.76335576},
                                              {0.10, 0.92705098, -2.85316955}};

  // ln of weight and density of mode k.
  template <typename T>
  static T LogMode(int k, T x, T y) {
    constexpr double kPeak = 1.0 / (6.283185307179586477 * kDeviation * kDeviation);
    return Log(T(kMode[k][0] * kPeak)) + LogBump(x, kMode[k][1], kDeviation) +
           LogBump(y, kMode[k][2], kDeviation);
  }
  template <typename T>
  static T LogDensity(T x, T y) {
    T sum = LogMode(0, x, y);
    for (int k = 1; k < kModes; ++k) sum = LogAddExp(sum, LogMode(k, x, y));
    return sum;
  }
  template <typename T>
  static PlaneSlope<T> Slope(T x, T y) {
    const T total = LogDensity(x, y);
    PlaneSlope<T> slope{T(0.0), T(0.0)};
    for (int k = 0; k < kModes; ++k) {
      const T share = Exp(LogMode(k, x, y) - total);
      slope.x = slope.x + share * LogBumpSlope(x, kMode[k][1], kDeviation);
      slope.y = slope.y + share * LogBumpSlope(y, kMode[k][2], kDeviation);
    }
    return slope;
  }
};

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_ENERGIES_H_
