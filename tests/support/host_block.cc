// SPDX-License-Identifier: Apache-2.0
#include "tests/support/host_block.h"

#include <algorithm>

namespace millrace {
namespace {

constexpr double kPadding = 7.25;

template <typename T>
void Write(RowsView<const double> rows, Matrix block) {
  for (int c = 0; c < block.cols; ++c) {
    T* const column =
        static_cast<T*>(block.buffer) + block.offset + std::ptrdiff_t{c} * block.stride;
    std::fill_n(column, block.stride, static_cast<T>(kPadding));
    for (int r = 0; r < block.rows; ++r) column[r] = static_cast<T>(rows(r, c));
  }
}

template <typename T>
Rows<double> Read(ConstMatrix block) {
  Rows<double> rows(block.rows, block.cols);
  for (int c = 0; c < block.cols; ++c)
    for (int r = 0; r < block.rows; ++r)
      rows(r, c) =
          static_cast<const T*>(block.buffer)[block.offset + std::ptrdiff_t{c} * block.stride + r];
  return rows;
}

bool IsFloat(const Kernels& kernels) { return kernels.element_size() == sizeof(float); }

}  // namespace

Matrix NewBlock(const Kernels& kernels, Arena& arena, RowsView<const double> rows) {
  const Matrix block = arena.NewMatrix(static_cast<int>(rows.rows), rows.cols);
  IsFloat(kernels) ? Write<float>(rows, block) : Write<double>(rows, block);
  return block;
}

Rows<double> ReadBlock(const Kernels& kernels, ConstMatrix block) {
  return IsFloat(kernels) ? Read<float>(block) : Read<double>(block);
}

Vector NewVector(Arena& arena, std::span<const double> values) {
  const Vector vector = arena.NewVector(static_cast<int>(values.size()));
  std::fill_n(vector.data, RoundUp(std::max(vector.size, 1), kRowAlign), kPadding);
  std::copy(values.begin(), values.end(), vector.data);
  return vector;
}

HostParameters::HostParameters(const Kernels& kernels, std::span<const double> values) {
  if (IsFloat(kernels)) {
    floats_ = AlignedBuffer<float>(values.size());
    std::transform(values.begin(), values.end(), floats_.data(),
                   [](double v) { return static_cast<float>(v); });
  } else {
    doubles_ = AlignedBuffer<double>(values.size());
    std::copy(values.begin(), values.end(), doubles_.data());
  }
}

std::vector<double> HostParameters::values() const {
  if (floats_.size() > 0) return {floats_.data(), floats_.data() + floats_.size()};
  return {doubles_.data(), doubles_.data() + doubles_.size()};
}

}  // namespace millrace
