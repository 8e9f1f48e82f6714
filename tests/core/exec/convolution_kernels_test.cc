// SPDX-License-Identifier: Apache-2.0
// Convolutions of the processor beside those of the plain kernels, on images of many shapes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/exec/arena.h"
#include "tests/support/engines.h"
#include "tests/support/host_block.h"
#include "tests/support/numeric.h"

namespace millrace {
namespace {

constexpr double kTolerance = 2e-5;

struct Case {
  Grid grid;
  int size, inputs, outputs, rows;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Grid grid : {Grid{1, 1}, Grid{1, 5}, Grid{4, 3}, Grid{7, 7}, Grid{14, 14}})
    for (const int size : {1, 3})
      for (const auto& [inputs, outputs] : {std::pair{1, 2}, {2, 21}, {21, 3}, {17, 16}})
        for (const int rows : {1, 16, 19, 32}) cases.push_back({grid, size, inputs, outputs, rows});
  return cases;
}

// A layer, its parameters and a block on each side whose frames are zero.
struct Problem {
  explicit Problem(const Case& c) : random(c.rows + c.inputs) {
    layer.size = c.size;
    layer.weight = layout.Add("w", c.outputs, c.size * c.size * c.inputs, true);
    layer.bias = layout.Add("b", 1, c.outputs, false);
    parameters.assign(layout.size(), 0.0);
    for (const Slice& s : {layer.weight, layer.bias})
      for (int r = 0; r < s.rows; ++r)
        for (int k = 0; k < s.cols; ++k)
          parameters[s.offset + static_cast<std::size_t>(r) * s.ld + k] = RandomNormal(random, 0.3);
    in = Framed(c, c.inputs);
    out = Framed(c, c.outputs);
  }

  Rows<double> Framed(const Case& c, int channels) {
    Rows<double> planes(c.rows, channels * c.grid.framed());
    std::fill_n(planes.data(), Values(planes).size(), 0.0);
    for (int r = 0; r < c.rows; ++r)
      for (int k = 0; k < channels; ++k)
        for (int y = 0; y < c.grid.height; ++y)
          for (int x = 0; x < c.grid.width; ++x)
            planes(r, k * c.grid.framed() + c.grid.at(y, x)) = RandomNormal(random);
    return planes;
  }

  std::mt19937_64 random;
  ParameterLayout layout;
  ConvolutionLayer layer;
  std::vector<double> parameters;
  Rows<double> in, out;
};

// What `task(kernels, arena)` gives on the processor must be what it gives in double.
template <typename Task>
void ExpectSame(const Task& task) {
  Arena plain_arena(sizeof(double));
  Arena cpu_arena(sizeof(float));
  const std::vector<double> expected = task(*PlainEngine().kernels, plain_arena);
  const std::vector<double> actual = task(*CpuEngine().kernels, cpu_arena);
  EXPECT_LE(MaxAbsDifference(actual, expected), kTolerance * std::max(1.0, MaxAbs(expected)));
}

std::vector<double> Read(const Kernels& kernels, ConstMatrix m) {
  const Rows<double> rows = ReadBlock(kernels, m);
  const auto values = Values(rows);
  return {values.begin(), values.end()};
}

class ConvolutionKernelsTest : public testing::TestWithParam<Case> {};

TEST_P(ConvolutionKernelsTest, Forward) {
  const Case& c = GetParam();
  const Problem p(c);
  for (const DenseStart start : {DenseStart::kBias, DenseStart::kZero, DenseStart::kAccumulate})
    for (const Activation activation : {Activation::kIdentity, Activation::kRelu})
      ExpectSame([&](const Kernels& kernels, Arena& arena) {
        const HostParameters parameters(kernels, p.parameters);
        const Matrix out = NewBlock(kernels, arena, p.out.view());
        kernels.Convolve(p.layer, c.grid, parameters.weights(),
                         NewBlock(kernels, arena, p.in.view()), start, activation, out);
        return Read(kernels, out);
      });
}

TEST_P(ConvolutionKernelsTest, InputAdjoint) {
  const Case& c = GetParam();
  const Problem p(c);
  for (const bool accumulate : {false, true})
    ExpectSame([&](const Kernels& kernels, Arena& arena) {
      const HostParameters parameters(kernels, p.parameters);
      const Matrix in_bar = NewBlock(kernels, arena, p.in.view());
      kernels.ConvolveInputAdjoint(p.layer, c.grid, parameters.weights(),
                                   NewBlock(kernels, arena, p.out.view()), accumulate, arena,
                                   in_bar);
      return Read(kernels, in_bar);
    });
}

// Gradients are added to, with a sign.
TEST_P(ConvolutionKernelsTest, WeightAdjointAdds) {
  const Case& c = GetParam();
  const Problem p(c);
  ExpectSame([&](const Kernels& kernels, Arena& arena) {
    HostParameters gradients(kernels, p.parameters);
    const Matrix in = NewBlock(kernels, arena, p.in.view());
    const Matrix out_bar = NewBlock(kernels, arena, p.out.view());
    for (const float sign : {1.0f, -1.0f, -1.0f})
      kernels.ConvolveWeightAdjoint(p.layer, c.grid, in, out_bar, sign, arena,
                                    gradients.gradients());
    return gradients.values();
  });
}

// <out_bar, W in> = <W^T out_bar, in> = <W, out_bar in^T>.
TEST_P(ConvolutionKernelsTest, AdjointsAreThatOfThePlainDefinition) {
  const Case& c = GetParam();
  Problem p(c);
  std::fill_n(p.parameters.begin() + p.layer.bias.offset, c.outputs, 0.0);
  const Kernels& kernels = *PlainEngine().kernels;
  Arena arena(sizeof(double));
  const HostParameters parameters(kernels, p.parameters);
  HostParameters gradients(kernels, std::vector<double>(p.parameters.size(), 0.0));
  const Matrix in = NewBlock(kernels, arena, p.in.view());
  const Matrix out_bar = NewBlock(kernels, arena, p.out.view());
  const Matrix out = NewBlock(kernels, arena, p.out.view());
  const Matrix in_bar = NewBlock(kernels, arena, p.in.view());
  kernels.Convolve(p.layer, c.grid, parameters.weights(), in, DenseStart::kZero,
                   Activation::kIdentity, out);
  kernels.ConvolveInputAdjoint(p.layer, c.grid, parameters.weights(), out_bar, false, arena,
                               in_bar);
  kernels.ConvolveWeightAdjoint(p.layer, c.grid, in, out_bar, 1.0f, arena, gradients.gradients());
  const auto dot = [](std::span<const double> a, std::span<const double> b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  std::vector<double> weight_bar = gradients.values();
  std::fill_n(weight_bar.begin() + p.layer.bias.offset, c.outputs, 0.0);
  const double expected = dot(Read(kernels, out), Values(p.out));
  const double tolerance = 1e-9 * std::max(1.0, std::fabs(expected));
  EXPECT_NEAR(dot(Read(kernels, in_bar), Values(p.in)), expected, tolerance);
  EXPECT_NEAR(dot(weight_bar, p.parameters), expected, tolerance);
}

INSTANTIATE_TEST_SUITE_P(Shapes, ConvolutionKernelsTest, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& shape) {
                           const Case& c = shape.param;
                           return absl::StrCat(c.grid.height, "x", c.grid.width, "Size", c.size,
                                               "From", c.inputs, "To", c.outputs, "Rows", c.rows);
                         });

}  // namespace
}  // namespace millrace
