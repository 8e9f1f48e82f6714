// SPDX-License-Identifier: Apache-2.0
// Rows of a block as the formulas of whole rows see them (core/math/vector_bijection.h): as many at
// once as a pack has lanes.
#ifndef MILLRACE_CORE_CPU_PACK_ROW_H_
#define MILLRACE_CORE_CPU_PACK_ROW_H_

#include "core/cpu/block.h"

namespace millrace::cpu {

// Rows r .. r + Pack::kWidth.
class PackRow {
 public:
  using Value = Pack;
  PackRow(Matrix m, int r) : data_(Column(m, 0) + r), stride_(m.stride) {}
  Pack operator[](int c) const { return Pack::Load(data_ + c * stride_); }
  void Set(int c, Pack value) const { value.Store(data_ + c * stride_); }

 private:
  float* data_;
  std::ptrdiff_t stride_;
};

// The same to read.
class ConstPackRow {
 public:
  using Value = Pack;
  ConstPackRow(ConstMatrix m, int r) : data_(Column(m, 0) + r), stride_(m.stride) {}
  Pack operator[](int c) const { return Pack::Load(data_ + c * stride_); }

 private:
  const float* data_;
  std::ptrdiff_t stride_;
};

// Which of the rows from r on are not padding.
inline PackMask Live(int r, int rows) {
  PackMask mask;
  for (int i = 0; i < Pack::kWidth; ++i) mask.v[i] = r + i < rows ? -1 : 0;
  return mask;
}

// The same to read, padding as 0.
class LivePackRow {
 public:
  using Value = Pack;
  LivePackRow(ConstMatrix m, int r) : row_(m, r), live_(Live(r, m.rows)) {}
  Pack operator[](int c) const { return Select(live_, row_[c], Pack(0.0f)); }

 private:
  ConstPackRow row_;
  PackMask live_;
};

}  // namespace millrace::cpu

#endif  // MILLRACE_CORE_CPU_PACK_ROW_H_
