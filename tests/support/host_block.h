// SPDX-License-Identifier: Apache-2.0
// Blocks and parameters of any kernels on this machine, float or double, filled and read as double.
#ifndef MILLRACE_TESTS_SUPPORT_HOST_BLOCK_H_
#define MILLRACE_TESTS_SUPPORT_HOST_BLOCK_H_

#include <span>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/rows.h"
#include "core/exec/arena.h"
#include "core/exec/kernels.h"

namespace millrace {

// A block that holds `rows`; its padding holds numbers of no meaning, as kernels must expect.
Matrix NewBlock(const Kernels& kernels, Arena& arena, RowsView<const double> rows);
Rows<double> ReadBlock(const Kernels& kernels, ConstMatrix block);

// A vector that holds `values`, padded likewise.
Vector NewVector(Arena& arena, std::span<const double> values);

// A parameter array, or the gradient of one, in the element type of the kernels.
class HostParameters {
 public:
  HostParameters(const Kernels& kernels, std::span<const double> values);

  Weights weights() const {
    if (floats_.size() > 0) return {floats_.data()};
    return {doubles_.data()};
  }
  Gradients gradients() {
    if (floats_.size() > 0) return {floats_.data()};
    return {doubles_.data()};
  }
  std::vector<double> values() const;

 private:
  AlignedBuffer<float> floats_;  // one of the two is used
  AlignedBuffer<double> doubles_;
};

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_HOST_BLOCK_H_
