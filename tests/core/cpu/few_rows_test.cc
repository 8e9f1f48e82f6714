// SPDX-License-Identifier: Apache-2.0
// Dense layers of few rows have the bits of the same rows in a block.
#include "core/cpu/few_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"
#include "core/exec/arena.h"

namespace millrace {
namespace {

constexpr int kBlock = 16;  // rows that are computed along the lanes

struct Case {
  int inputs, outputs;
  bool masked;
};

class FewRowsTest : public testing::TestWithParam<Case> {
 protected:
  FewRowsTest() {
    const auto [inputs, outputs, masked] = GetParam();
    layout_.Add("before.weight", 3, 5, true);
    layer_.weight = layout_.Add("weight", outputs, inputs, true);
    layer_.bias = layout_.Add("bias", 1, outputs, false);
    parameters_ = ParameterValues(layout_.size());
    for (int o = 0; masked && o < outputs; ++o)
      extent_.push_back(1 + static_cast<int>(static_cast<long>(o) * (inputs - 1) / outputs));
    layer_.extent = extent_;
    for (int o = 0; o < outputs; ++o) {
      parameters_[layer_.bias.offset + o] = Number();
      for (int i = 0; i < (masked ? extent_[o] : inputs); ++i)
        parameters_[layer_.weight.offset + static_cast<std::size_t>(o) * layer_.weight.ld + i] =
            Number();
    }
  }
  float Number() { return normal_(random_); }

  Matrix NewRows(int cols) {
    const Matrix rows = arena_.NewMatrix(kBlock, cols);
    for (int c = 0; c < cols; ++c)
      for (int r = 0; r < kBlock; ++r) cpu::Column(rows, c)[r] = Number();
    return rows;
  }
  // The first rows of a block, as a block of their own.
  Matrix First(int rows, const Matrix& of) {
    const Matrix first = arena_.NewMatrix(rows, of.cols);
    for (int c = 0; c < of.cols; ++c)
      std::copy_n(cpu::Column(of, c), kBlock, cpu::Column(first, c));
    return first;
  }

  ParameterLayout layout_;
  DenseLayer layer_;
  std::vector<int> extent_;
  ParameterValues parameters_;
  Arena arena_{sizeof(float)};
  std::mt19937_64 random_{7};
  std::normal_distribution<float> normal_;
  CpuKernels kernels_;
};

TEST_P(FewRowsTest, HaveTheBitsOfABlock) {
  const auto [inputs, outputs, masked] = GetParam();
  const TransposedWeights transposed(layout_, parameters_.span());
  const Weights block_weights{parameters_.data()};
  const Weights weights{parameters_.data(), &transposed};
  const DenseRange ranges[] = {{0, outputs, 0, inputs},
                               {outputs / 3, outputs, 0, inputs},
                               {outputs / 3, outputs / 2, inputs / 4, inputs},
                               {outputs - 1, outputs, inputs / 2, inputs / 2 + 1}};
  const Matrix in = NewRows(inputs), before = NewRows(outputs);
  for (const DenseRange& range : ranges)
    for (const DenseStart start : {DenseStart::kBias, DenseStart::kZero, DenseStart::kAccumulate})
      for (const Activation activation :
           {Activation::kIdentity, Activation::kRelu, Activation::kTanh, Activation::kElu}) {
        const Arena::Scope scope(arena_);
        const Matrix expected = First(kBlock, before);
        kernels_.Dense(layer_, range, block_weights, in, start, activation, expected);
        for (int rows = 1; rows <= kFewRows; ++rows) {
          const Matrix actual = First(rows, before);
          kernels_.Dense(layer_, range, weights, First(rows, in), start, activation, actual);
          for (int o = 0; o < outputs; ++o)
            ASSERT_EQ(
                std::memcmp(cpu::Column(actual, o), cpu::Column(expected, o), rows * sizeof(float)),
                0)
                << rows << " rows, output " << o << ", start " << static_cast<int>(start);
        }
      }
}

INSTANTIATE_TEST_SUITE_P(Sizes, FewRowsTest,
                         testing::Values(Case{1, 1, false}, Case{5, 1, false}, Case{1, 7, true},
                                         Case{7, 2, false}, Case{7, 15, true}, Case{20, 16, true},
                                         Case{16, 17, false}, Case{100, 86, true},
                                         Case{43, 129, false}, Case{256, 300, true}));

}  // namespace
}  // namespace millrace
