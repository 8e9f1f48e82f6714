// SPDX-License-Identifier: Apache-2.0
// Moving data: host rows in and out, copies, permutations.
#include <algorithm>
#include <cstring>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/one_row.h"
#include "core/cpu/transpose.h"

namespace millrace {

using cpu::Column;
using cpu::Data;
using cpu::PaddedRows;

namespace {

// In whole packs: blocks are too low for a call of memcpy to pay.
void CopyColumn(const float* from, int padded_rows, float* to) {
  for (int r = 0; r < padded_rows; r += Pack::kWidth) Pack::Load(from + r).Store(to + r);
}

}  // namespace

void CpuKernels::Load(const float* host, const Matrix& to) const {
  if (to.IsFlat()) {
    std::copy_n(host, to.cols, Data(to));
    return;
  }
  cpu::Transpose(host, to.cols, to.rows, to.cols, Data(to), to.stride);
  const int padding = PaddedRows(to) - to.rows;
  if (padding > 0)
    for (int c = 0; c < to.cols; ++c) std::fill_n(Column(to, c) + to.rows, padding, 0.0f);
}

void CpuKernels::Store(const ConstMatrix& from, float* host) const {
  if (from.IsFlat()) {
    std::copy_n(Data(from), from.cols, host);
    return;
  }
  cpu::Transpose(Data(from), from.stride, from.cols, from.rows, host, from.cols);
}

void CpuKernels::Copy(const ConstMatrix& from, const Matrix& to) const {
  if (from.IsFlat() && to.IsFlat())
    return cpu::ForPacksOfColumns(to.cols, [&](int c, int lanes) {
      cpu::StoreColumns(cpu::LoadColumns(from, c, lanes), lanes, c, to);
    });
  if (from.IsFlat() || to.IsFlat()) {
    for (int c = 0; c < to.cols; ++c) cpu::PutColumn(*Column(from, c), c, to);
    return;
  }
  const int rows = PaddedRows(to);
  for (int c = 0; c < to.cols; ++c) CopyColumn(Column(from, c), rows, Column(to, c));
}

void CpuKernels::Fill(double value, const Matrix& to) const {
  for (int c = 0; c < to.cols; ++c)
    std::fill_n(Column(to, c), PaddedRows(to), static_cast<float>(value));
}

void CpuKernels::Add(const ConstMatrix& from, const Matrix& to) const {
  if (to.IsFlat()) {
    for (int c = 0; c < to.cols; ++c) Data(to)[c] += Data(from)[c];
    return;
  }
  const int rows = PaddedRows(to);
  for (int c = 0; c < to.cols; ++c) {
    const float* source = Column(from, c);
    float* target = Column(to, c);
    for (int r = 0; r < rows; r += Pack::kWidth)
      (Pack::Load(target + r) + Pack::Load(source + r)).Store(target + r);
  }
}

void CpuKernels::Negate(const Matrix& x) const {
  const int rows = PaddedRows(x);
  for (int c = 0; c < x.cols; ++c) {
    float* column = Column(x, c);
    for (int r = 0; r < rows; r += Pack::kWidth) (-Pack::Load(column + r)).Store(column + r);
  }
}

void CpuKernels::Gather(const ConstMatrix& from, std::span<const int> columns,
                        const Matrix& to) const {
  if (to.IsFlat()) {
    for (int c = 0; c < to.cols; ++c) Data(to)[c] = Data(from)[columns[c]];
    return;
  }
  const int rows = PaddedRows(to);
  for (int c = 0; c < to.cols; ++c) CopyColumn(Column(from, columns[c]), rows, Column(to, c));
}

void CpuKernels::Scatter(const ConstMatrix& from, std::span<const int> columns,
                         const Matrix& to) const {
  if (to.IsFlat()) {
    for (int c = 0; c < from.cols; ++c) Data(to)[columns[c]] = Data(from)[c];
    return;
  }
  const int rows = PaddedRows(to);
  for (int c = 0; c < from.cols; ++c) CopyColumn(Column(from, c), rows, Column(to, columns[c]));
}

}  // namespace millrace
