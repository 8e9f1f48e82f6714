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

// The inputs of a layer that are not zero. Behind a ReLU half of them are, and to leave them out
// changes no sum: x + 0 w = x. It saves reading their weights, and pays where those are many.
class NonZeroInputs {
 public:
  // Looks for them in [begin, end) of a row; false where it would not pay, and nothing is known.
  bool Find(const DenseLayer& layer, const ConstMatrix& in, int begin, int end) {
    const std::int64_t all = static_cast<std::int64_t>(layer.weight.rows) * layer.weight.cols;
    const std::int64_t used = layer.extent.empty() ? all : all / 2;
    if (used < kManyWeights || end > kMostInputs) return false;
    // Where the first few have no zero, no function made zeros.
    const int few = std::min(end, begin + kFew);
    return List(in, begin, few) < few - begin && 4 * List(in, begin, end) < 3 * (end - begin);
  }

  const int* places() const { return places_; }
  // How many stand before input i, in [begin, end].
  int Before(int i) const { return before_[i]; }

 private:
  int List(const ConstMatrix& in, int begin, int end) {
    const float* const inputs = Data(in);
    int count = 0;
    for (int i = begin; i < end; ++i) {
      before_[i] = count;
      places_[count] = i;
      count += inputs[i * in.stride] != 0.0f;
    }
    before_[end] = count;
    return count;
  }

  static constexpr int kFew = 16;
  static constexpr std::int64_t kManyWeights = 1 << 13;
  static constexpr int kMostInputs = 4096;
  int places_[kMostInputs];
  int before_[kMostInputs + 1];
};

// The part of a layer that outputs of one panel multiply: their weights of input 0, the inputs, and
// for each pack of outputs the end of the inputs that it uses, which does not decrease. `begin` and
// `ends` count inputs, or, where there are `places`, those.
struct Staircase {
  const float* weights;
  std::ptrdiff_t weights_stride;
  const float* inputs;
  std::ptrdiff_t inputs_stride;
  const int* places;
  int begin;
  std::array<int, kPanelPacks> ends;
};

// sums[j] = the sum over inputs in [begin, ends[j]), in ascending order.
template <int kPacks, bool kPlaces>
void Sum(const Staircase& s, float* sums) {
  Pack sum[kPacks];
  for (int j = 0; j < kPacks; ++j) sum[j] = Pack(0.0f);
  int k = s.begin;
  const auto step = [&]<int kFirst>(std::integral_constant<int, kFirst>) {
    for (; k < s.ends[kFirst]; ++k) {
      const std::ptrdiff_t i = kPlaces ? s.places[k] : k;
      const Pack value(s.inputs[i * s.inputs_stride]);
      const float* const w = s.weights + i * s.weights_stride;
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

// For each pack of outputs [o, o + count), the end of the inputs that it uses, at most input_end.
void FindEnds(const DenseLayer& layer, int input_end, int o, int count, std::span<int> ends) {
  for (std::size_t j = 0; j < ends.size(); ++j) {
    const int last = std::min(count, static_cast<int>(j + 1) * Pack::kWidth) - 1;
    ends[j] = layer.extent.empty() ? input_end : layer.extent[o + last];
  }
  if (input_end < layer.weight.cols)  // else no extent is beyond it
    for (int& end : ends) end = std::min(end, input_end);
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

template <bool kPlaces, std::size_t... kPacks>
constexpr auto SumFunctions(std::index_sequence<kPacks...>) {
  return std::array{&Sum<static_cast<int>(kPacks) + 1, kPlaces>...};
}
constexpr std::array kSums = {SumFunctions<false>(std::make_index_sequence<kPanelPacks>{}),
                              SumFunctions<true>(std::make_index_sequence<kPanelPacks>{})};

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
  NonZeroInputs non_zero;
  const bool sparse = non_zero.Find(layer, in, range.input_begin, input_end);
  Staircase s = {.weights = nullptr,
                 .weights_stride = 0,
                 .inputs = Data(in),
                 .inputs_stride = in.stride,
                 .places = non_zero.places(),
                 .begin = sparse ? 0 : range.input_begin,
                 .ends = {}};
  alignas(64) float sums[kPanel];
  int count = 0;
  for (int o = range.output_begin; o < range.output_end; o += count) {
    count = std::min(kPanel - o % kPanel, range.output_end - o);
    const int packs = (count + Pack::kWidth - 1) / Pack::kWidth;
    const MatrixByInput::Panel panel = matrix.PanelOf(o);
    s.weights = panel.column + o % kPanel;
    s.weights_stride = panel.stride;
    const std::span<int> ends(s.ends.data(), packs);
    FindEnds(layer, input_end, o, count, ends);
    if (sparse)
      for (int& end : ends) end = non_zero.Before(std::max(end, range.input_begin));
    kSums[sparse][packs - 1](s, sums);
    const bool last = o % kRowAlign == 0 && o + count == layer.weight.rows;
    Finish(start, bias == nullptr ? nullptr : bias + o, activation, sums, count, last,
           out.Columns(o, count));
  }
}

}  // namespace millrace
