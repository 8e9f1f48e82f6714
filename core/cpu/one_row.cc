// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/one_row.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/cpu/activations.h"
#include "core/cpu/transpose.h"

namespace millrace {
namespace {

using cpu::Column;
using cpu::Data;

constexpr int kPanel = MatrixByInput::kPanel;
constexpr int kPanelPacks = kPanel / Pack::kWidth;

bool IsMatrix(const ParameterLayout::Entry& entry) { return entry.slice.rows > 1 || entry.decays; }

// The part of a layer that outputs of one panel multiply: the weights of its first input, the
// inputs, and for each pack of outputs the end of the inputs that it uses, which does not decrease.
struct Staircase {
  const float* weights;
  std::ptrdiff_t weights_stride;
  const float* inputs;
  std::ptrdiff_t inputs_stride;
  int begin;
  std::array<int, kPanelPacks> ends;
};

// sums[j] = the sum over inputs k in [begin, ends[j]), in ascending order.
template <int kPacks>
void Sum(const Staircase& s, float* sums) {
  Pack sum[kPacks];
  for (int j = 0; j < kPacks; ++j) sum[j] = Pack(0.0f);
  const float* w = s.weights;
  const float* x = s.inputs;
  int k = s.begin;
  const auto step = [&]<int kFirst>(std::integral_constant<int, kFirst>) {
    for (; k < s.ends[kFirst]; ++k, w += s.weights_stride, x += s.inputs_stride) {
      const Pack value(*x);
      for (int j = kFirst; j < kPacks; ++j)
        sum[j].v += cpu::LoadUnaligned(w + j * Pack::kWidth).v * value.v;
    }
  };
  [&]<int... kFirst>(std::integer_sequence<int, kFirst...>) {
    (step(std::integral_constant<int, kFirst>{}), ...);
  }
  (std::make_integer_sequence<int, kPacks>{});
  for (int j = 0; j < kPacks; ++j) sum[j].Store(sums + j * Pack::kWidth);
}

// What becomes of finished sums, of `count` outputs. Where the outputs are the layer's last, biases
// and flat outputs have padding, and whole packs are read and written.
void Finish(DenseStart start, const float* bias, Activation activation, const float* sums,
            int count, bool last, const Matrix& out) {
  const bool whole = last && out.IsFlat();
  cpu::WithActivation(activation, [&]<typename Function>(Function) {
    cpu::ForPacksOfColumns(count, [&](int c, int lanes) {
      Pack sum = Pack::Load(sums + c);
      if (start == DenseStart::kAccumulate)
        sum = cpu::LoadColumns(out, c, lanes) + sum;
      else if (bias != nullptr)
        sum = sum + cpu::LoadLanes(bias + c, last ? Pack::kWidth : lanes);
      cpu::StoreColumns(Function::Value(sum), whole ? Pack::kWidth : lanes, c, out);
    });
  });
}

template <std::size_t... kPacks>
constexpr auto SumFunctions(std::index_sequence<kPacks...>) {
  return std::array{&Sum<static_cast<int>(kPacks) + 1>...};
}
constexpr auto kSums = SumFunctions(std::make_index_sequence<kPanelPacks>{});

}  // namespace

WeightsByInput::WeightsByInput(const ParameterLayout& layout, std::span<const float> parameters)
    : starts_(layout.size() / kRowAlign + 1) {
  std::size_t size = 0;
  for (const auto& entry : layout.entries()) {
    if (!IsMatrix(entry)) continue;
    starts_[entry.slice.offset / kRowAlign] = size;
    size += static_cast<std::size_t>(entry.slice.cols) * RoundUp(entry.slice.rows, kRowAlign);
  }
  values_ = AlignedBuffer<float>(size + kPanel);  // whole packs may be read from any output on
  for (const auto& entry : layout.entries()) {
    const Slice& s = entry.slice;
    if (!IsMatrix(entry)) continue;
    for (int first = 0; first < s.rows; first += kPanel) {
      const MatrixByInput::Panel panel = At(s).PanelOf(first);
      const float* const rows =
          parameters.data() + s.offset + static_cast<std::size_t>(first) * s.ld;
      cpu::Transpose(rows, s.ld, std::min(kPanel, s.rows - first), s.cols,
                     values_.data() + (panel.column - values_.data()), panel.stride);
    }
  }
}

void DenseOneRow(const DenseLayer& layer, DenseRange range, Weights weights, const ConstMatrix& in,
                 DenseStart start, Activation activation, const Matrix& out) {
  const MatrixByInput matrix =
      static_cast<const WeightsByInput*>(weights.by_input)->At(layer.weight);
  const bool biased = start == DenseStart::kBias && layer.bias.rows > 0;
  const float* const bias = biased ? Data(weights, layer.bias) : nullptr;
  const int input_end = std::min(range.input_end, layer.weight.cols);
  Staircase s = {.weights = nullptr,
                 .weights_stride = 0,
                 .inputs = Data(in) + static_cast<std::ptrdiff_t>(range.input_begin) * in.stride,
                 .inputs_stride = in.stride,
                 .begin = range.input_begin,
                 .ends = {}};
  alignas(64) float sums[kPanel];
  int count = 0;
  for (int o = range.output_begin; o < range.output_end; o += count) {
    count = std::min(kPanel - o % kPanel, range.output_end - o);
    const int packs = (count + Pack::kWidth - 1) / Pack::kWidth;
    const MatrixByInput::Panel panel = matrix.PanelOf(o);
    s.weights = panel.column + range.input_begin * panel.stride + o % kPanel;
    s.weights_stride = panel.stride;
    for (int j = 0; j < packs; ++j) {
      const int last = std::min(count, (j + 1) * Pack::kWidth) - 1;
      s.ends[j] = layer.extent.empty() ? input_end : layer.extent[o + last];
    }
    if (input_end < layer.weight.cols)  // else no extent is beyond it
      for (int& end : s.ends) end = std::min(end, input_end);
    kSums[packs - 1](s, sums);
    const bool last = o % kRowAlign == 0 && o + count == layer.weight.rows;
    Finish(start, bias == nullptr ? nullptr : bias + o, activation, sums, count, last,
           out.Columns(o, count));
  }
}

}  // namespace millrace
