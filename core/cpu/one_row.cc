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

// Enough accumulators to hide the latency of a multiply-add.
constexpr int kTilePacks = WeightsByInput::kSlack / Pack::kWidth;
constexpr int kTile = kTilePacks * Pack::kWidth;

// The part of a layer that one tile of outputs multiplies: the weights of its first input, the
// inputs, and for each pack of outputs the end of the inputs that it uses, which does not decrease.
struct Staircase {
  const float* weights;
  std::ptrdiff_t weights_stride;
  const float* inputs;
  std::ptrdiff_t inputs_stride;
  int begin;
  std::array<int, kTilePacks> ends;
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

template <std::size_t... kPacks>
constexpr auto SumFunctions(std::index_sequence<kPacks...>) {
  return std::array{&Sum<static_cast<int>(kPacks) + 1>...};
}
constexpr auto kSums = SumFunctions(std::make_index_sequence<kTilePacks>{});

}  // namespace

WeightsByInput::WeightsByInput(const ParameterLayout& layout, std::span<const float> parameters)
    : starts_(layout.size() / kRowAlign + 1) {
  std::size_t size = 0;
  for (const auto& entry : layout.entries()) {
    if (!IsMatrix(entry)) continue;
    starts_[entry.slice.offset / kRowAlign] = size;
    size += static_cast<std::size_t>(entry.slice.cols) * Stride(entry.slice);
  }
  values_ = AlignedBuffer<float>(size + kSlack);
  for (const auto& entry : layout.entries()) {
    const Slice& s = entry.slice;
    if (IsMatrix(entry))
      cpu::Transpose(parameters.data() + s.offset, s.ld, s.rows, s.cols,
                     values_.data() + starts_[s.offset / kRowAlign], Stride(s));
  }
}

void DenseOneRow(const DenseLayer& layer, DenseRange range, Weights weights, ConstMatrix in,
                 DenseStart start, Activation activation, Matrix out) {
  const auto& by_input = *static_cast<const WeightsByInput*>(weights.by_input);
  const bool biased = start == DenseStart::kBias && layer.bias.rows > 0;
  const float* const bias = biased ? Data(weights, layer.bias) : nullptr;
  const int input_end = std::min(range.input_end, layer.weight.cols);
  Staircase s = {.weights = nullptr,
                 .weights_stride = WeightsByInput::Stride(layer.weight),
                 .inputs = Data(in) + static_cast<std::ptrdiff_t>(range.input_begin) * in.stride,
                 .inputs_stride = in.stride,
                 .begin = range.input_begin,
                 .ends = {}};
  alignas(64) float sums[kTile];
  for (int o = range.output_begin; o < range.output_end; o += kTile) {
    const int count = std::min(kTile, range.output_end - o);
    const int packs = (count + Pack::kWidth - 1) / Pack::kWidth;
    s.weights = by_input.Column(layer.weight, range.input_begin) + o;
    for (int j = 0; j < packs; ++j) {
      const int last = std::min(count, (j + 1) * Pack::kWidth) - 1;
      s.ends[j] = layer.extent.empty() ? input_end : std::min(input_end, layer.extent[o + last]);
    }
    kSums[packs - 1](s, sums);
    if (start == DenseStart::kAccumulate)
      for (int i = 0; i < count; ++i) sums[i] = *Column(out, o + i) + sums[i];
    else if (biased)
      for (int i = 0; i < count; ++i) sums[i] += bias[o + i];
    cpu::WithActivation(activation, [&]<typename Function>(Function) {
      for (int j = 0; j < packs; ++j) {
        float* const values = sums + j * Pack::kWidth;
        Function::Value(Pack::Load(values)).Store(values);
      }
    });
    if (out.IsFlat())
      std::memcpy(Column(out, o), sums, count * sizeof(float));
    else
      for (int i = 0; i < count; ++i) cpu::PutAlone(sums[i], Column(out, o + i));
  }
}

}  // namespace millrace
