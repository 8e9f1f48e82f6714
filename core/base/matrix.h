// SPDX-License-Identifier: Apache-2.0
// Views of a block of rows. A view never owns, and nothing but a `Kernels` implementation may look
// behind it: the numbers may be float or double, on this machine or on a device.
#ifndef MILLRACE_CORE_BASE_MATRIX_H_
#define MILLRACE_CORE_BASE_MATRIX_H_

#include <cstddef>

namespace millrace {

// Rows of every block are padded to a multiple of this, so that kernels never need a tail loop.
// What stands in the padding is finite and without meaning.
inline constexpr int kRowAlign = 16;

constexpr int RoundUp(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

// Element (r, c) stands at buffer[offset + c * stride + r], counted in elements: samples are
// contiguous per feature. `stride` is at least RoundUp(rows, kRowAlign) and a multiple of
// kRowAlign. Or it is 1, of a single row whose columns stand side by side, without padding: what
// NewRows of core/exec/pass.h gives, and only what is said there takes.
struct Matrix {
  void* buffer = nullptr;
  std::ptrdiff_t offset = 0;
  int rows = 0;
  int cols = 0;
  int stride = 0;

  bool empty() const { return buffer == nullptr; }
  bool IsFlat() const { return stride == 1; }
  Matrix Columns(int begin, int count) const {
    return {buffer, offset + static_cast<std::ptrdiff_t>(begin) * stride, rows, count, stride};
  }
};

struct ConstMatrix {
  const void* buffer = nullptr;
  std::ptrdiff_t offset = 0;
  int rows = 0;
  int cols = 0;
  int stride = 0;

  ConstMatrix() = default;
  ConstMatrix(const void* b, std::ptrdiff_t o, int r, int c, int s)
      : buffer(b), offset(o), rows(r), cols(c), stride(s) {}
  ConstMatrix(const Matrix& m)  // NOLINT(google-explicit-constructor): a view of a view
      : buffer(m.buffer), offset(m.offset), rows(m.rows), cols(m.cols), stride(m.stride) {}

  bool empty() const { return buffer == nullptr; }
  bool IsFlat() const { return stride == 1; }
  ConstMatrix Columns(int begin, int count) const {
    return {buffer, offset + static_cast<std::ptrdiff_t>(begin) * stride, rows, count, stride};
  }
};

// One double a row: log-densities and log-determinants. Padded like a matrix column.
struct Vector {
  double* data = nullptr;
  int size = 0;
};

// Vectors of equal size, one a column. Of a view of some, every `step`-th of what stands there.
struct Vectors {
  double* data = nullptr;
  int size = 0;
  int count = 0;
  int step = 1;

  bool empty() const { return data == nullptr; }
  std::size_t extent() const {
    return static_cast<std::size_t>(RoundUp(size, kRowAlign)) * static_cast<std::size_t>(count);
  }
  Vector operator[](int c) const {
    return {data + static_cast<std::ptrdiff_t>(RoundUp(size, kRowAlign)) * c * step, size};
  }
};

struct ConstVector {
  const double* data = nullptr;
  int size = 0;

  ConstVector() = default;
  ConstVector(const double* d, int s) : data(d), size(s) {}
  // NOLINTNEXTLINE(google-explicit-constructor): a view of a view
  ConstVector(const Vector& v) : data(v.data), size(v.size) {}
};

}  // namespace millrace

#endif  // MILLRACE_CORE_BASE_MATRIX_H_
