// SPDX-License-Identifier: Apache-2.0
// What the CPU kernels see behind a view: floats. What loops over rows takes views by value:
// through a reference, every pack that is stored might change them.
#ifndef MILLRACE_CORE_CPU_BLOCK_H_
#define MILLRACE_CORE_CPU_BLOCK_H_

#include <cstddef>

#include "core/base/matrix.h"
#include "core/cpu/pack.h"
#include "core/exec/kernels.h"
#include "core/exec/parameters.h"

namespace millrace::cpu {

inline float* Data(const Matrix& m) { return static_cast<float*>(m.buffer) + m.offset; }
inline const float* Data(const ConstMatrix& m) {
  return static_cast<const float*>(m.buffer) + m.offset;
}
inline float* Column(const Matrix& m, int c) {
  return Data(m) + static_cast<std::ptrdiff_t>(c) * m.stride;
}
inline const float* Column(const ConstMatrix& m, int c) {
  return Data(m) + static_cast<std::ptrdiff_t>(c) * m.stride;
}
inline const float* Data(Weights weights, const Slice& slice) {
  return static_cast<const float*>(weights.buffer) + slice.offset;
}
inline float* Data(Gradients gradients, const Slice& slice) {
  return static_cast<float*>(gradients.buffer) + slice.offset;
}

// Rows with their padding: every loop over rows runs to here, in whole packs.
inline int PaddedRows(const ConstMatrix& m) { return RoundUp(m.rows, kRowAlign); }

// sum[0 .. width) += p, in double.
inline void AddTo(double* sum, Pack p) {
  for (int i = 0; i < Pack::kWidth; ++i) sum[i] += static_cast<double>(p.v[i]);
}

inline Pack ToPack(const double* values) {
  Pack p;
  for (int i = 0; i < Pack::kWidth; ++i) p.v[i] = static_cast<float>(values[i]);
  return p;
}

// The sum of the first `rows` numbers, without the padding. Whole packs first, then the rest in
// order.
inline float SumRows(const float* column, int rows) {
  Pack lanes(0.0f);
  int r = 0;
  for (; r + Pack::kWidth <= rows; r += Pack::kWidth) lanes = lanes + Pack::Load(column + r);
  float sum = 0.0f;
  for (int i = 0; i < Pack::kWidth; ++i) sum += lanes.v[i];
  for (; r < rows; ++r) sum += column[r];
  return sum;
}

}  // namespace millrace::cpu

#endif  // MILLRACE_CORE_CPU_BLOCK_H_
