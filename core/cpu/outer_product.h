// SPDX-License-Identifier: Apache-2.0
// Gradients of masked matrices: sums over rows of outer products.
#ifndef MILLRACE_CORE_CPU_OUTER_PRODUCT_H_
#define MILLRACE_CORE_CPU_OUTER_PRODUCT_H_

#include <algorithm>

#include "core/cpu/block.h"
#include "core/cpu/gemm.h"
#include "core/cpu/transpose.h"
#include "core/exec/arena.h"

namespace millrace::cpu {

// The matrix at `slice` += sign * out^T in, in row o for the inputs of the range inputs(o) only,
// whose ends do not decrease with o. What stands outside is zero and stays zero. `arena` is used
// for a transposed copy of `in` [rows, slice.cols].
template <typename Inputs>
void AddOuterProduct(ConstMatrix out, ConstMatrix in, float sign, const Inputs& inputs,
                     Arena& arena, Slice slice, Gradients gradients) {
  const Arena::Scope scope(arena);
  // The inputs of a row contiguous, so that they lie along the lanes; zero up to whole packs.
  const Matrix by_row = arena.NewMatrix(slice.cols, in.rows);
  for (int r = 0; r < in.rows; ++r)
    std::fill_n(Column(by_row, r) + slice.cols, RoundUp(slice.cols, kRowAlign) - slice.cols, 0.0f);
  Transpose(Data(in), in.stride, slice.cols, in.rows, Data(by_row), by_row.stride);

  float* const sum = Data(gradients, slice);
  // The packs that rows [first, last] use.
  const auto packs = [&](int first, int last) {
    return gemm::Range{inputs(first).begin / Pack::kWidth * Pack::kWidth,
                       RoundUp(inputs(last).end, Pack::kWidth)};
  };
  gemm::Multiply(
      {Data(out), out.stride, 1, Data(by_row), by_row.stride, sum, slice.ld}, 0, slice.rows,
      [&](int, int) {
        return gemm::Range{0, in.rows};
      },
      [&](int o, int count) { return packs(o, o + count - 1); }, gemm::AccumulateScaled{sign});
  for (int o = 0; o < slice.rows; ++o) {
    // A tile may reach beyond what its row may use: as far as rows of the same tile.
    const gemm::Range reached =
        packs(std::max(0, o - gemm::kTileRows + 1), std::min(slice.rows, o + gemm::kTileRows) - 1);
    const gemm::Range used = inputs(o);
    float* const row = sum + static_cast<std::ptrdiff_t>(o) * slice.ld;
    std::fill(row + reached.begin, row + std::max(reached.begin, used.begin), 0.0f);
    std::fill(row + used.end, row + std::max(reached.end, used.end), 0.0f);
  }
}

}  // namespace millrace::cpu

#endif  // MILLRACE_CORE_CPU_OUTER_PRODUCT_H_
