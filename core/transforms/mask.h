// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_TRANSFORMS_MASK_H_
#define MILLRACE_CORE_TRANSFORMS_MASK_H_

#include <cstdint>
#include <vector>

namespace millrace {

// Which columns a coupling keeps.
enum class Mask {
  kHalf,         // the first half
  kAlternating,  // columns 0, 2, 4, ...
  kRandom,       // a random half
  // Of images only:
  kCheckerboard,  // pixels whose y + x is even
  kChannels,      // the first half of the channels
  kNone,          // nothing: parameters depend on the condition alone
};

// moved[c] is true where column c is moved; `flip` exchanges kept and moved. With one column, it is
// moved; every mask of two or more keeps one and moves one. Random halves are those of (seed,
// draw).
std::vector<bool> MovedColumns(Mask mask, bool flip, int draw, int dim, std::uint64_t seed);

}  // namespace millrace

#endif  // MILLRACE_CORE_TRANSFORMS_MASK_H_
