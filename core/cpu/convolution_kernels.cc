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
    gemm::Multiply(
        {filter.values, filter.ld, 1, Data(in) + from.at(y, 0), from.plane, Data(out) + to.at(y, 0),
         to.plane, used},
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

// A row of pixels of `channels` planes, the channels of each block row contiguous and zero up to
// whole packs: [pixels * stride, lanes].
struct Transposer {
  Transposer(int channel_count, int pixels, int stride, Arena& arena)
      : channels(channel_count),
        lanes(RoundUp(channel_count, kRowAlign)),
        rows(pixels * stride),
        values(arena.NewArray<float>(static_cast<std::size_t>(rows) * lanes).data()) {
    std::fill_n(values, static_cast<std::size_t>(rows) * lanes, 0.0f);
  }
  void Fill(const float* pixels, std::ptrdiff_t plane) {
    cpu::Transpose(pixels, plane, channels, rows, values, lanes);
  }

  int channels, lanes, rows;
  float* values;
};

// sums[m, n] += the sum over a row of pixels of a[m] b[n].
void AddProducts(const float* a, std::ptrdiff_t plane, int count, const float* b, int lanes,
                 int pixels, float* sums) {
  gemm::Multiply(
      {a, plane, 1, b, lanes, sums, lanes}, 0, count,
      [&](int, int) {
        return Range{0, pixels};
      },
      [&](int, int) {
        return Range{0, lanes};
      },
      gemm::Accumulate<Identity>{});
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
  const int inputs = layer.inputs(), outputs = layer.outputs(), reach = layer.size / 2;
  const Planes from(grid, in.stride), to(grid, out_bar.stride);
  // The more numerous channels go along the lanes.
  const bool by_input = inputs >= outputs;
  const int others = by_input ? outputs : inputs;
  Transposer turned(by_input ? inputs : outputs, grid.width + (by_input ? 2 * reach : 0), in.stride,
                    arena);
  const std::span<float> sums =
      arena.NewArray<float>(static_cast<std::size_t>(layer.taps()) * others * turned.lanes);
  std::ranges::fill(sums, 0.0f);
  const auto sums_of = [&](int tap) {
    return sums.data() + static_cast<std::size_t>(tap) * others * turned.lanes;
  };
  if (by_input) {
    for (int y = -reach; y < grid.height + reach; ++y) {
      turned.Fill(Data(in) + from.at(y, -reach), from.plane);
      ForTaps(layer.size, [&](int tap, int dy, int dx) {
        if (y - dy < 0 || y - dy >= grid.height) return;
        AddProducts(Data(out_bar) + to.at(y - dy, 0), to.plane, outputs,
                    turned.values + std::ptrdiff_t{reach + dx} * in.stride * turned.lanes,
                    turned.lanes, to.row(), sums_of(tap));
      });
    }
  } else {
    for (int y = 0; y < grid.height; ++y) {
      turned.Fill(Data(out_bar) + to.at(y, 0), to.plane);
      ForTaps(layer.size, [&](int tap, int dy, int dx) {
        AddProducts(Data(in) + from.at(y + dy, dx), from.plane, inputs, turned.values, turned.lanes,
                    to.row(), sums_of(tap));
      });
    }
  }
  float* const w_bar = Data(gradients, layer.weight);
  for (int o = 0; o < outputs; ++o)
    for (int t = 0; t < layer.taps(); ++t)
      for (int i = 0; i < inputs; ++i)
        w_bar[static_cast<std::ptrdiff_t>(o) * layer.weight.ld + t * inputs + i] +=
            sign * sums_of(t)[by_input ? o * turned.lanes + i : i * turned.lanes + o];
  if (layer.bias.rows == 0) return;
  float* const b_bar = Data(gradients, layer.bias);
  for (int o = 0; o < outputs; ++o)
    b_bar[o] += sign * cpu::SumRows(Data(out_bar) + o * to.plane, static_cast<int>(to.plane));
}

}  // namespace millrace
