// SPDX-License-Identifier: Apache-2.0
// A row alone has the bits of the same row in a block.
#include "core/cpu/one_row.h"

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
  bool zeros = false;  // inputs as a ReLU leaves them
};

class OneRowTest : public testing::TestWithParam<Case> {
 protected:
  OneRowTest() {
    const auto& [inputs, outputs, masked, zeros] = GetParam();
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
  Matrix Copy(const Matrix& of) {
    const Matrix copy = arena_.NewMatrix(of.rows, of.cols);
    kernels_.Copy(of, copy);
    return copy;
  }
  Matrix FirstRowOf(const Matrix& of, bool flat) {
    const Matrix row = flat ? arena_.NewFlat(of.cols) : arena_.NewMatrix(1, of.cols);
    for (int c = 0; c < of.cols; ++c) *cpu::Column(row, c) = *cpu::Column(of, c);
    return row;
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

TEST_P(OneRowTest, HasTheBitsOfABlock) {
  const auto [inputs, outputs, masked, zeros] = GetParam();
  const WeightsByInput by_input(layout_, parameters_.span());
  const Weights block_weights{parameters_.data()};
  const Weights weights{parameters_.data(), &by_input};
  const DenseRange ranges[] = {{0, outputs, 0, inputs},
                               {outputs / 3, outputs, 0, inputs},
                               {outputs / 3, outputs / 2, inputs / 4, inputs},
                               {outputs - 1, outputs, inputs / 2, inputs / 2 + 1}};
  const Matrix in = NewRows(inputs), before = NewRows(outputs);
  if (zeros) kernels_.Activate(Activation::kRelu, in);
  for (const DenseRange& range : ranges)
    for (const DenseStart start : {DenseStart::kBias, DenseStart::kZero, DenseStart::kAccumulate})
      for (const Activation activation :
           {Activation::kIdentity, Activation::kRelu, Activation::kTanh, Activation::kElu}) {
        const Arena::Scope scope(arena_);
        const Matrix expected = Copy(before);
        kernels_.Dense(layer_, range, block_weights, in, start, activation, expected);
        for (const bool flat : {false, true}) {
          const Matrix row = FirstRowOf(in, flat), actual = FirstRowOf(before, flat);
          kernels_.Dense(layer_, range, weights, row, start, activation, actual);
          for (int o = 0; o < outputs; ++o)
            ASSERT_EQ(std::memcmp(cpu::Column(actual, o), cpu::Column(expected, o), sizeof(float)),
                      0)
                << (flat ? "flat, " : "") << "output " << o << ", start "
                << static_cast<int>(start);
        }
      }
}

INSTANTIATE_TEST_SUITE_P(Sizes, OneRowTest,
                         testing::Values(Case{1, 1, false}, Case{5, 1, false}, Case{1, 7, true},
                                         Case{7, 2, false}, Case{7, 15, true}, Case{20, 16, true},
                                         Case{16, 17, false}, Case{100, 86, true},
                                         Case{43, 129, false}, Case{256, 300, true},
                                         Case{256, 300, true, true}, Case{300, 256, false, true}));

}  // namespace
}  // namespace millrace
