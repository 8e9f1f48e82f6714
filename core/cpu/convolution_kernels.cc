// SPDX-License-Identifier: Apache-2.0
// Convolutions are products whose inputs are planes moved by a tap. The pixels of a row of a plane
// stand side by side, each with all rows of the block, and serve as the long side of the product.
#include <algorithm>
#include <array>
#include <cstddef>

#include "core/cpu/activations.h"
#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/gemm.h"
#include "core/cpu/plane_products.h"
#include "core/cpu/transpose.h"
#include "core/exec/arena.h"

namespace millrace {
namespace {

using cpu::Data;
using gemm::Range;

// Where framed planes of one block stand.
struct Planes {
  Planes(Grid g, int block_stride)
      : grid(g), stride(block_stride), plane(static_cast<std::ptrdiff_t>(g.framed()) * stride) {}

  std::ptrdiff_t at(int y, int x) const { return std::ptrdiff_t{grid.at(y, x)} * stride; }
  // A row of pixels without its frame.
  int row() const { return grid.width * stride; }

  Grid grid;
  int stride;            // from pixel to pixel
  std::ptrdiff_t plane;  // from channel to channel
};

// Calls use(index, dy, dx) for the taps around a pixel.
template <typename Use>
void ForTaps(int size, const Use& use) {
  const int reach = size / 2;
  int tap = 0;
  for (int dy = -reach; dy <= reach; ++dy)
    for (int dx = -reach; dx <= reach; ++dx) use(tap++, dy, dx);
}

void ClearFrame(const Planes& planes, const Matrix& m) {
  const Grid& grid = planes.grid;
  const auto clear = [&](float* plane, int from, int to) {
    std::fill(plane + std::ptrdiff_t{from} * planes.stride,
              plane + std::ptrdiff_t{to} * planes.stride, 0.0f);
  };
  for (int c = 0; c < m.cols / grid.framed(); ++c) {
    float* const plane = Data(m) + c * planes.plane;
    clear(plane, 0, grid.at(0, 0));
    for (int y = 0; y + 1 < grid.height; ++y)
      clear(plane, grid.at(y, grid.width), grid.at(y + 1, 0));
    clear(plane, grid.at(grid.height - 1, grid.width), grid.framed());
  }
}

// Weights [outputs, taps * inputs], their rows `ld` apart.
struct Filter {
  const float* values;
  std::ptrdiff_t ld;
  int size, inputs, outputs;
};

template <typename Finish>
void ConvolveRows(const Filter& filter, Grid grid, const ConstMatrix& in, const Finish& finish,
                  const Matrix& out) {
  const Planes from(grid, in.stride), to(grid, out.stride);
  std::array<std::ptrdiff_t, 9> moves;
  ForTaps(filter.size,
          [&](int tap, int dy, int dx) { moves[tap] = from.at(dy, dx) - from.at(0, 0); });
  const std::span<const std::ptrdiff_t> used(moves.data(), filter.size * filter.size);
  for (int y = 0; y < grid.height; ++y)
    gemm::MultiplyMoved(
        {{filter.values, filter.ld, 1, Data(in) + from.at(y, 0), from.plane,
          Data(out) + to.at(y, 0), to.plane},
         used},
        0, filter.outputs,
        [&](int, int) {
          return Range{0, filter.inputs};
        },
        [&](int, int) {
          return Range{0, to.row()};
        },
        finish);
  ClearFrame(to, out);
}

// W[o, t * inputs + i] at [i, (last tap - t) * outputs + o]: what the adjoint convolves with.
Filter Transposed(const ConvolutionLayer& layer, const float* weight, Arena& arena) {
  const int inputs = layer.inputs(), outputs = layer.outputs(), taps = layer.taps();
  const int ld = taps * outputs;
  const std::span<float> values = arena.NewArray<float>(static_cast<std::size_t>(ld) * inputs);
  for (int t = 0; t < taps; ++t)
    cpu::Transpose(weight + t * inputs, layer.weight.ld, outputs, inputs,
                   values.data() + (taps - 1 - t) * outputs, ld);
  return {values.data(), ld, layer.size, outputs, inputs};
}

void ClearPadding(const Matrix& m) {
  if (m.rows == m.stride) return;
  for (int c = 0; c < m.cols; ++c)
    std::fill(cpu::Column(m, c) + m.rows, cpu::Column(m, c) + m.stride, 0.0f);
}

}  // namespace

void CpuKernels::Convolve(const ConvolutionLayer& layer, Grid grid, Weights weights,
                          const ConstMatrix& in, DenseStart start, Activation activation,
                          const Matrix& out) const {
  const Filter filter{Data(weights, layer.weight), layer.weight.ld, layer.size, layer.inputs(),
                      layer.outputs()};
  const bool biased = start == DenseStart::kBias && layer.bias.rows > 0;
  const float* const bias = biased ? Data(weights, layer.bias) : nullptr;
  cpu::WithActivation(activation, [&]<typename Function>(Function) {
    if (start == DenseStart::kAccumulate)
      ConvolveRows(filter, grid, in, gemm::Accumulate<Function>{}, out);
    else
      ConvolveRows(filter, grid, in, gemm::Write<Function>{bias}, out);
  });
}

void CpuKernels::ConvolveInputAdjoint(const ConvolutionLayer& layer, Grid grid, Weights weights,
                                      const ConstMatrix& out_bar, bool accumulate, Arena& arena,
                                      const Matrix& in_bar) const {
  const Arena::Scope scope(arena);
  const Filter filter = Transposed(layer, Data(weights, layer.weight), arena);
  if (accumulate)
    ConvolveRows(filter, grid, out_bar, gemm::Accumulate<Identity>{}, in_bar);
  else
    ConvolveRows(filter, grid, out_bar, gemm::Write<Identity>{}, in_bar);
}

void CpuKernels::ConvolveWeightAdjoint(const ConvolutionLayer& layer, Grid grid,
                                       const ConstMatrix& in, const Matrix& out_bar, float sign,
                                       Arena& arena, Gradients gradients) const {
  const Arena::Scope scope(arena);
  ClearPadding(out_bar);
  const int inputs = layer.inputs(), outputs = layer.outputs();
  const Planes from(grid, in.stride), to(grid, out_bar.stride);
  const std::span<const float*> outs = arena.NewArray<const float*>(outputs);
  for (int o = 0; o < outputs; ++o) outs[o] = Data(out_bar) + o * to.plane + to.at(0, 0);
  const std::span<const float*> ins = arena.NewArray<const float*>(layer.weight.cols);
  ForTaps(layer.size, [&](int tap, int dy, int dx) {
    for (int i = 0; i < inputs; ++i)
      ins[tap * inputs + i] = Data(in) + i * from.plane + from.at(dy, dx);
  });
  const auto ld = static_cast<std::ptrdiff_t>(ins.size());
  const std::span<float> sums = arena.NewArray<float>(outs.size() * ins.size());
  std::ranges::fill(sums, 0.0f);
  cpu::AddPlaneProducts({outs, to.at(1, 0) - to.at(0, 0)}, {ins, from.at(1, 0) - from.at(0, 0)},
                        grid.height, to.row(), sums.data(), ld);
  float* const w_bar = Data(gradients, layer.weight);
  for (int o = 0; o < outputs; ++o)
    for (int k = 0; k < layer.weight.cols; ++k)
      w_bar[static_cast<std::ptrdiff_t>(o) * layer.weight.ld + k] += sign * sums[o * ld + k];
  if (layer.bias.rows == 0) return;
  float* const b_bar = Data(gradients, layer.bias);
  for (int o = 0; o < outputs; ++o)
    b_bar[o] += sign * cpu::SumRows(Data(out_bar) + o * to.plane, static_cast<int>(to.plane));
}

}  // namespace millrace
