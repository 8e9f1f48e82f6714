// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10: the counter-based random number generator of Salmon, Moraes, Dror and Shaw,
// "Parallel random numbers: as easy as 1, 2, 3" (2011). A word depends on its counter and key only,
// so random values depend on where they stand and not on the order in which they are drawn.
#ifndef MILLRACE_CORE_MATH_PHILOX_H_
#define MILLRACE_CORE_MATH_PHILOX_H_

#include <array>
#include <cstdint>

#include "core/math/host_device.h"

namespace millrace {

struct Philox4x32 {
  MILLRACE_HOST_DEVICE static constexpr std::array<std::uint32_t, 4> Generate(
      std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53} * counter[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * counter[2];
      counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0],
                 static_cast<std::uint32_t>(p1),
                 static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1],
                 static_cast<std::uint32_t>(p0)};
      key[0] += 0x9E3779B9;
      key[1] += 0xBB67AE85;
    }
    return counter;
  }
};

// 52 bits as a number in (0, 1); with 53 the largest would round to 1.
MILLRACE_HOST_DEVICE constexpr double UniformOpen(std::uint32_t hi, std::uint32_t lo) {
  const std::uint64_t bits = ((std::uint64_t{hi} << 32) | lo) >> 12;
  return (static_cast<double>(bits) + 0.5) * 2.220446049250313e-16;  // 2^-52
}

}  // namespace millrace

#endif  // MILLRACE_CORE_MATH_PHILOX_H_
