// SPDX-License-Identifier: Apache-2.0
// Gradients of parameters that all rows have in common are sums over rows: those of padding are no
// rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/cpu/cpu_kernels.h"

namespace millrace {
namespace {

constexpr int kRows = 3;
constexpr int kCols = 4;

float* Data(Matrix m) { return static_cast<float*>(m.buffer) + m.offset; }

// kRows rows of ordinary numbers, and what is given in the padding.
Matrix Block(Arena& arena, float padding) {
  const Matrix m = arena.NewMatrix(kRows, kCols);
  for (int c = 0; c < kCols; ++c)
    for (int r = 0; r < RoundUp(kRows, kRowAlign); ++r)
      Data(m)[c * m.stride + r] =
          r < kRows ? 0.1f * static_cast<float>(r + 1) - 0.2f * static_cast<float>(c) : padding;
  return m;
}

std::vector<float> ThetaGradient(VectorBijection bijection, float padding) {
  const CpuKernels kernels;
  Arena arena(kernels.element_size());
  ParameterLayout layout;
  const Slice theta = layout.Add("theta", 1, bijection.parameters(kCols), false);
  ParameterValues values(layout.size()), gradient(layout.size());
  bijection.Initialise(kCols, 3, values.span());
  const Vector log_det_bar = arena.NewVector(kRows);
  std::fill_n(log_det_bar.data, RoundUp(kRows, kRowAlign), static_cast<double>(padding));
  std::fill_n(log_det_bar.data, kRows, 0.5);
  const Matrix x = Block(arena, padding);
  const Matrix grad = Block(arena, padding);
  kernels.VectorAdjoint(bijection, theta, {values.data()}, x, log_det_bar, 1.0f, arena, grad,
                        {gradient.data()});
  return {gradient.data(), gradient.data() + gradient.size()};
}

TEST(VectorKernelsTest, PaddingAddsNothingToGradients) {
  using Kind = VectorBijection::Kind;
  for (const Kind kind : {Kind::kPlanar, Kind::kRadial, Kind::kSylvester, Kind::kRotation}) {
    const VectorBijection bijection{kind, 2};
    const std::vector<float> expected = ThetaGradient(bijection, 0.0f);
    EXPECT_GT(std::fabs(expected[0]), 0.0f) << static_cast<int>(kind);
    for (const float padding : {7.0f, 1e30f, NAN})
      EXPECT_EQ(ThetaGradient(bijection, padding), expected)
          << static_cast<int>(kind) << " " << padding;
  }
}

TEST(VectorKernelsTest, PaddingAddsNothingToStatistics) {
  const CpuKernels kernels;
  Arena arena(kernels.element_size());
  ParameterLayout layout;
  const Slice statistics = layout.AddStatistic("statistics", 1, 2 * kCols);
  const ParameterValues values(layout.size());
  ParameterValues gradient(layout.size());
  kernels.StatisticsAdjoint(statistics, {values.data()}, Block(arena, NAN), 1.0, {gradient.data()});
  for (int c = 0; c < kCols; ++c) {
    double sum = 0.0, squares = 0.0;
    for (int r = 0; r < kRows; ++r) {
      const double x = 0.1 * (r + 1) - 0.2 * c;
      sum += x;
      squares += x * x;
    }
    EXPECT_NEAR(gradient[2 * c], sum, 1e-6);
    EXPECT_NEAR(gradient[2 * c + 1], squares, 1e-6);
  }
}

}  // namespace
}  // namespace millrace
