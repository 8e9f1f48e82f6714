// SPDX-License-Identifier: Apache-2.0
#include "core/transforms/mask.h"

#include <numeric>

#include "core/math/uniform.h"

namespace millrace {
namespace {

// Streams of Philox below are those of permutations.
constexpr std::uint32_t kFirstStream = 1u << 16;

}  // namespace

std::vector<bool> MovedColumns(Mask mask, bool flip, int draw, int dim, std::uint64_t seed) {
  std::vector<bool> moved(dim, true);
  if (dim == 1) return moved;
  std::vector<int> order(dim);
  std::iota(order.begin(), order.end(), 0);
  if (mask == Mask::kRandom)
    Shuffle(order, order.size(), seed, kFirstStream + static_cast<std::uint32_t>(draw));
  for (int i = 0; i < dim; ++i) {
    const bool kept = mask == Mask::kAlternating ? i % 2 == 0 : i < (dim + 1) / 2;
    moved[order[i]] = kept == flip;
  }
  return moved;
}

}  // namespace millrace
