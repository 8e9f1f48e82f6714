// SPDX-License-Identifier: Apache-2.0
// Uniform numbers and permutations that depend on where they stand, on top of Philox.
#ifndef MILLRACE_CORE_MATH_UNIFORM_H_
#define MILLRACE_CORE_MATH_UNIFORM_H_

#include <cstdint>
#include <utility>

#include "core/math/philox.h"

namespace millrace {

// The number in (0, 1) at (row, column) of stream `stream` >= 1 under `seed`. Stream 0 belongs to
// the normals of core/math/normal.h.
inline double UniformAt(std::uint64_t seed, std::uint32_t stream, std::uint64_t row,
                        std::uint32_t column) {
  const auto w = Philox4x32::Generate(
      {static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(row >> 32), column, stream},
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  return UniformOpen(w[0], w[1]);
}

// Shuffles `items` (indexable, of `size`) with the numbers of one stream: Fisher and Yates, from
// the end.
template <typename Items>
void Shuffle(Items& items, std::uint64_t size, std::uint64_t seed, std::uint32_t stream) {
  for (std::uint64_t i = size; i > 1; --i) {
    const auto j =
        static_cast<std::uint64_t>(UniformAt(seed, stream, i, 0) * static_cast<double>(i));
    std::swap(items[i - 1], items[j]);
  }
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_UNIFORM_H_
