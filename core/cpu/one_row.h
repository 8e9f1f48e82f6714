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

// A matrix of weights input by input. Outputs are cut into panels, each of which is read from its
// first input to its last without a gap.
struct MatrixByInput {
  // Outputs of a panel, but the last: half the registers, in packs, which hide the latency of a
  // multiply-add. Where inputs are left out, the longer the run of an input's weights, the better
  // memory keeps up.
  static constexpr int kPanel = (Pack::kWidth == 16 ? 16 : 8) * Pack::kWidth;

  // The weights of an input stand at column + input * stride, output by output up to the end of the
  // panel and, where that is the matrix's, padded with zeros to a
  // multiple of kRowAlign.
  struct Panel {
    const float* column;  // of the panel's first output and input 0
    std::ptrdiff_t stride;
  };
  Panel PanelOf(int output) const {
    const int first = output & -kPanel;
    return {values + static_cast<std::ptrdiff_t>(first) * inputs,
            std::min(kPanel, padded_outputs - first)};
  }

  const float* values = nullptr;
  int inputs = 0;
  int padded_outputs = 0;
};

// The matrices of a flow's parameters: what Weights::by_input points at.
class WeightsByInput {
 public:
  WeightsByInput(const ParameterLayout& layout, std::span<const float> parameters);

  MatrixByInput At(const Slice& matrix) const {
    return {values_.data() + starts_[matrix.offset / kRowAlign], matrix.cols,
            RoundUp(matrix.rows, kRowAlign)};
  }

 private:
  std::vector<std::size_t> starts_;  // by the slice's offset, in cache lines
  AlignedBuffer<float> values_;
};

// As Kernels::Dense, of one row; `in` and `out` may be flat.
void DenseOneRow(const DenseLayer& layer, DenseRange range, Weights weights, const ConstMatrix& in,
                 DenseStart start, Activation activation, const Matrix& out);

namespace cpu {

inline Pack LoadUnaligned(const float* values) {
  Pack pack;
  std::memcpy(&pack.v, values, sizeof pack.v);
  return pack;
}
inline void StoreUnaligned(Pack pack, float* values) {
  std::memcpy(values, &pack.v, sizeof pack.v);
}

// Lanes [begin, end).
inline PackMask LanesIn(int begin, int end) {
  Pack::Ints lane;
  for (int i = 0; i < Pack::kWidth; ++i) lane[i] = i;
  return {(lane >= begin) & (lane < end)};
}

// The first `lanes` floats only; 0 stands in the others.
inline Pack LoadLanes(const float* values, int lanes) {
  if (lanes == Pack::kWidth) return LoadUnaligned(values);
  Pack pack(0.0f);
  std::memcpy(&pack.v, values, static_cast<std::size_t>(lanes) * sizeof(float));
  return pack;
}

// use(first column, columns) for each pack of the columns of a row.
template <typename Use>
void ForPacksOfColumns(int cols, const Use& use) {
  for (int c = 0; c < cols; c += Pack::kWidth) use(c, std::min(Pack::kWidth, cols - c));
}

// Column c of a row that comes alone, flat or a block, whose padding holds the same.
inline void PutColumn(float value, int c, const Matrix& row) {
  float* const column = Column(row, c);
  if (row.IsFlat()) {
    *column = value;
    return;
  }
  for (int r = 0; r < kRowAlign; r += Pack::kWidth) Pack(value).Store(column + r);
}

// `lanes` columns of such a row from c on. Of a flat row whole packs may be read, and written back
// as they were.
inline Pack LoadColumns(const ConstMatrix& row, int c, int lanes) {
  if (row.IsFlat()) return LoadUnaligned(Column(row, c));
  Pack pack(0.0f);
  for (int i = 0; i < lanes; ++i) pack.v[i] = *Column(row, c + i);
  return pack;
}
inline void StoreColumns(Pack pack, int lanes, int c, const Matrix& row) {
  if (row.IsFlat()) {
    float* const values = Column(row, c);
    if (lanes < Pack::kWidth) pack = Select(LanesIn(0, lanes), pack, LoadUnaligned(values));
    return StoreUnaligned(pack, values);
  }
  for (int i = 0; i < lanes; ++i) PutColumn(pack.v[i], c + i, row);
}

}  // namespace cpu
}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_ONE_ROW_H_
