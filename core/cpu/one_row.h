// SPDX-License-Identifier: Apache-2.0
// A row that comes alone has no others to lie along the SIMD lanes with: there its units do, over a
// copy of the weights with rows and columns exchanged. Sums run over inputs in the order of gemm.h,
// so that a row alone has the bits of the same row in any block.
#ifndef MILLRACE_CORE_CPU_ONE_ROW_H_
#define MILLRACE_CORE_CPU_ONE_ROW_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/matrix.h"
#include "core/cpu/block.h"
#include "core/cpu/pack.h"
#include "core/exec/kernels.h"
#include "core/exec/parameters.h"

namespace millrace {

// The matrices of a flow's parameters, input by input: what Weights::by_input points at.
class WeightsByInput {
 public:
  // Floats that may be read beyond a column.
  static constexpr int kSlack = 8 * Pack::kWidth;

  WeightsByInput(const ParameterLayout& layout, std::span<const float> parameters);

  // The weights of one input of the matrix, output by output.
  const float* Column(const Slice& matrix, int input) const {
    return values_.data() + starts_[matrix.offset / kRowAlign] +
           static_cast<std::ptrdiff_t>(input) * Stride(matrix);
  }
  static std::ptrdiff_t Stride(const Slice& matrix) { return RoundUp(matrix.rows, kRowAlign); }

 private:
  static bool IsMatrix(const ParameterLayout::Entry& entry) {
    return entry.slice.rows > 1 || entry.decays;
  }

  std::vector<std::size_t> starts_;  // by the slice's offset, in cache lines
  AlignedBuffer<float> values_;
};

// As Kernels::Dense, of one row; `out` may be flat.
void DenseOneRow(const DenseLayer& layer, DenseRange range, Weights weights, ConstMatrix in,
                 DenseStart start, Activation activation, Matrix out);

namespace cpu {

inline Pack LoadUnaligned(const float* values) {
  Pack pack;
  std::memcpy(&pack.v, values, sizeof pack.v);
  return pack;
}
inline void StoreUnaligned(Pack pack, float* values) {
  std::memcpy(values, &pack.v, sizeof pack.v);
}

// The first `lanes` floats only; 0 stands in the others.
inline Pack LoadLanes(const float* values, int lanes) {
  Pack pack(0.0f);
  std::memcpy(&pack.v, values, static_cast<std::size_t>(lanes) * sizeof(float));
  return pack;
}
inline void StoreLanes(Pack pack, int lanes, float* values) {
  std::memcpy(values, &pack.v, static_cast<std::size_t>(lanes) * sizeof(float));
}

// use(first column, columns) for each pack of the columns of a row.
template <typename Use>
void ForPacksOfColumns(int cols, const Use& use) {
  for (int c = 0; c < cols; c += Pack::kWidth) use(c, std::min(Pack::kWidth, cols - c));
}

// The value of a row that comes alone: its padding holds the same.
inline void PutAlone(float value, float* column) {
  for (int r = 0; r < kRowAlign; r += Pack::kWidth) Pack(value).Store(column + r);
}

}  // namespace cpu
}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_ONE_ROW_H_
