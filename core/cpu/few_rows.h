// SPDX-License-Identifier: Apache-2.0
// Dense layers of one to kFewRows rows: the outputs, not the rows, lie along the SIMD lanes, over a
// copy of the weights whose rows and columns are exchanged. A sum runs over its inputs in the order
// of gemm.h, so that a row alone has the bits of the same row in any block.
#ifndef MILLRACE_CORE_CPU_FEW_ROWS_H_
#define MILLRACE_CORE_CPU_FEW_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/matrix.h"
#include "core/exec/kernels.h"
#include "core/exec/parameters.h"

namespace millrace {

// More rows than this are faster along the lanes.
inline constexpr int kFewRows = 8;

// The matrices of a flow's parameters, transposed: what Weights::transposed points at.
class TransposedWeights {
 public:
  TransposedWeights(const ParameterLayout& layout, std::span<const float> parameters);

  // The column `input` of a matrix; its floats are its outputs, one after the other, and readable
  // beyond its end for as many as a tile may ask for.
  const float* Column(const Slice& slice, int input) const {
    return values_.data() + starts_[slice.offset / kRowAlign] +
           static_cast<std::size_t>(input) * Stride(slice);
  }
  static std::ptrdiff_t Stride(const Slice& slice);

 private:
  std::vector<std::size_t> starts_;  // by the slice's offset, in cache lines
  AlignedBuffer<float> values_;
};

// As Kernels::Dense, for in.rows <= kFewRows.
void DenseFewRows(const DenseLayer& layer, DenseRange range, Weights weights, ConstMatrix in,
                  DenseStart start, Activation activation, Matrix out);

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_FEW_ROWS_H_
