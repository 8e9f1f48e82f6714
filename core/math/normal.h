// SPDX-License-Identifier: Apache-2.0
// Standard normals from Philox words (Salmon et al. 2011) by Box and Muller (1958).
//
// The map, part of the determinism promise: the normals of row r, columns 4q .. 4q + 3 under `seed`
// come from the words w of Philox4x32-10 with counter {low(r), high(r), q, 0} and key {low(seed),
// high(seed)}: columns 4q and 4q + 1 are radius(w0) cos(2 pi angle(w1)) and radius(w0) sin(2 pi
// angle(w1)); columns 4q + 2 and 4q + 3 likewise from w2, w3.
#ifndef MILLRACE_CORE_MATH_NORMAL_H_
#define MILLRACE_CORE_MATH_NORMAL_H_

#include <array>
#include <cstdint>

#include "core/math/philox.h"
#include "core/math/scalar.h"

namespace millrace {

inline std::array<std::uint32_t, 4> NormalWords(std::uint64_t seed, std::uint64_t row,
                                                std::uint32_t quad) {
  return Philox4x32::Generate(
      {static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(row >> 32), quad, 0},
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
}

template <typename T>
struct NormalPair {
  T first;
  T second;
};

// `radius_word` and `angle_word` are the words as numbers in [0, 2^32).
template <typename T>
MILLRACE_HOST_DEVICE inline NormalPair<T> BoxMuller(T radius_word, T angle_word) {
  const T unit = T(2.3283064365386963e-10f);  // 2^-32
  const T u = (radius_word + T(0.5f)) * unit;
  const T radius = Sqrt(T(-2.0f) * Log(u));
  const T angle = angle_word * unit;
  return {radius * CosTurn(angle), radius * SinTurn(angle)};
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_NORMAL_H_
