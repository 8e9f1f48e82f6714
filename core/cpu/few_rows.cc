// SPDX-License-Identifier: Apache-2.0
#include "core/cpu/few_rows.h"

#include <algorithm>
#include <cstring>

#include "core/cpu/activations.h"
#include "core/cpu/block.h"
#include "core/cpu/transpose.h"

namespace millrace {
namespace {

using cpu::Column;
using cpu::Data;

// Accumulators that hide the latency of a multiply-add.
constexpr int kTilePacks = 8;
constexpr int kTile = kTilePacks * Pack::kWidth;

Pack LoadUnaligned(const float* values) {
  Pack pack;
  std::memcpy(&pack.v, values, sizeof pack.v);
  return pack;
}

// sums[0 .. kPacks) = sum over k in [k_begin, k_end) of w[k * stride + lane] x[k * x_stride].
template <int kPacks>
void Sum(const float* w, std::ptrdiff_t stride, const float* x, std::ptrdiff_t x_stride,
         int k_begin, int k_end, float* sums) {
  Pack sum[kPacks];
  for (int j = 0; j < kPacks; ++j) sum[j] = Pack(0.0f);
  w += k_begin * stride;
  for (int k = k_begin; k < k_end; ++k, w += stride) {
    const Pack value(x[k * x_stride]);
    for (int j = 0; j < kPacks; ++j) sum[j].v += LoadUnaligned(w + j * Pack::kWidth).v * value.v;
  }
  for (int j = 0; j < kPacks; ++j) sum[j].Store(sums + j * Pack::kWidth);
}

using SumFunction = decltype(&Sum<1>);
constexpr SumFunction kSums[kTilePacks] = {Sum<1>, Sum<2>, Sum<3>, Sum<4>,
                                           Sum<5>, Sum<6>, Sum<7>, Sum<8>};

// Row r of a column; the padding holds the last row.
void Put(float value, int r, int rows, float* column) {
  if (rows == 1) {
    for (int i = 0; i < kRowAlign; i += Pack::kWidth) Pack(value).Store(column + i);
  } else {
    std::fill(column + r, column + (r + 1 < rows ? r + 1 : kRowAlign), value);
  }
}

}  // namespace

TransposedWeights::TransposedWeights(const ParameterLayout& layout,
                                     std::span<const float> parameters)
    : starts_(layout.size() / kRowAlign + 1) {
  std::size_t size = 0;
  for (const auto& entry : layout.entries()) {
    if (entry.slice.rows <= 1) continue;
    starts_[entry.slice.offset / kRowAlign] = size;
    size += static_cast<std::size_t>(entry.slice.cols) * Stride(entry.slice);
  }
  values_ = AlignedBuffer<float>(size + kTile);
  for (const auto& entry : layout.entries()) {
    const Slice& s = entry.slice;
    if (s.rows > 1)
      cpu::Transpose(parameters.data() + s.offset, s.ld, s.rows, s.cols,
                     values_.data() + starts_[s.offset / kRowAlign], Stride(s));
  }
}

std::ptrdiff_t TransposedWeights::Stride(const Slice& slice) {
  return RoundUp(slice.rows, kRowAlign);
}

void DenseFewRows(const DenseLayer& layer, DenseRange range, Weights weights, ConstMatrix in,
                  DenseStart start, Activation activation, Matrix out) {
  const auto& transposed = *static_cast<const TransposedWeights*>(weights.transposed);
  const std::ptrdiff_t stride = TransposedWeights::Stride(layer.weight);
  const bool biased = start == DenseStart::kBias && layer.bias.rows > 0;
  const float* const bias = biased ? Data(weights, layer.bias) : nullptr;
  alignas(64) float sums[kTile];
  for (int o = range.output_begin; o < range.output_end; o += kTile) {
    const int count = std::min(kTile, range.output_end - o);
    const int packs = (count + Pack::kWidth - 1) / Pack::kWidth;
    const int k_end = std::min(
        range.input_end, layer.extent.empty() ? layer.weight.cols : layer.extent[o + count - 1]);
    for (int r = 0; r < in.rows; ++r) {
      kSums[packs - 1](transposed.Column(layer.weight, 0) + o, stride, Data(in) + r, in.stride,
                       range.input_begin, k_end, sums);
      if (start == DenseStart::kAccumulate)
        for (int i = 0; i < count; ++i) sums[i] = Column(out, o + i)[r] + sums[i];
      else if (biased)
        for (int i = 0; i < count; ++i) sums[i] += bias[o + i];
      cpu::WithActivation(activation, [&]<typename Function>(Function) {
        for (int j = 0; j < packs; ++j) {
          float* const values = sums + j * Pack::kWidth;
          Function::Value(Pack::Load(values)).Store(values);
        }
      });
      for (int i = 0; i < count; ++i) Put(sums[i], r, in.rows, Column(out, o + i));
    }
  }
}

}  // namespace millrace
