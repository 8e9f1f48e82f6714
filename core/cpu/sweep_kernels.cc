// SPDX-License-Identifier: Apache-2.0
// The sweep of a row that comes alone: whatever becomes known is at once added to the sums of all
// that use it, so that a column waits for the few products of the column before it only.
#include <algorithm>
#include <array>

#include "core/cpu/activations.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/formula_calls.h"
#include "core/cpu/one_row.h"
#include "core/exec/formulas.h"

namespace millrace {
namespace {

using cpu::Column;
using cpu::Data;

constexpr int AlignDown(int n) { return n & -Pack::kWidth; }

// Lanes [begin, end).
PackMask LanesIn(int begin, int end) {
  Pack::Ints lane;
  for (int i = 0; i < Pack::kWidth; ++i) lane[i] = i;
  return {(lane >= begin) & (lane < end)};
}

// Inputs of a layer, whose weights stand by input.
struct Products {
  const float* weights;
  std::ptrdiff_t stride;
  const float* values;
  int count;

  // What they contribute to kPacks packs of outputs from o on.
  template <int kPacks>
  void AddTo(int o, float* sums) const {
    Pack sum[kPacks];
    for (int j = 0; j < kPacks; ++j) sum[j] = Pack::Load(sums + j * Pack::kWidth);
    const float* w = weights + o;
    for (int k = 0; k < count; ++k, w += stride)
      for (int j = 0; j < kPacks; ++j)
        sum[j].v += Pack::Load(w + j * Pack::kWidth).v * Pack(values[k]).v;
    for (int j = 0; j < kPacks; ++j) sum[j].Store(sums + j * Pack::kWidth);
  }
};

constexpr int kTilePacks = 4;

// Packs are read as they were written, on their own boundaries: a load that spans two stores, or
// one wider than the store, waits for memory.
class RowSweep {
 public:
  RowSweep(const SweptNetwork& network, const SweptUnits& units, Weights weights, int first,
           int end, Arena& arena)
      : network_(network),
        units_(units),
        hidden_(static_cast<int>(network.layers.size()) - 1),
        theta_(Data(units.theta)) {
    const auto& by_input = *static_cast<const WeightsByInput*>(weights.by_input);
    for (int l = 0; l <= hidden_; ++l) {
      const Slice& matrix = network.layers[l].weight;
      const int sums_begin = AlignDown(UnitsBelow(l, first));
      const int sums_end = UnitsBelow(l, end);
      float* const sums = Data(arena.NewFlat(sums_end - sums_begin));
      std::fill_n(sums, RoundUp(sums_end - sums_begin, kRowAlign), 0.0f);
      layers_[l] = {by_input.Column(matrix, 0), WeightsByInput::Stride(matrix), sums - sums_begin,
                    sums_end};
    }
  }

  // Computes the units of degree i, and adds what they contribute.
  void Units(int i) const {
    for (int l = 0; l < hidden_; ++l) {
      const int begin = UnitsBelow(l, i), end = UnitsBelow(l, i + 1);
      if (begin == end) continue;
      for (int o = AlignDown(begin); o < end; o += Pack::kWidth) Activate(l, o, begin, end);
      AddProducts(layers_[l + 1], begin, end, Data(units_.value[l]) + begin, UnitsBelow(l + 1, i));
    }
  }

  // Parameter p of column i.
  float Theta(int i, int p) const {
    const int o = i * network_.parameters + p;
    return theta_[o] + layers_[hidden_].sums[o];
  }

  // Adds what column i, found to be x, contributes.
  void Found(int i, float x) const { AddProducts(layers_[0], i, i + 1, &x, UnitsBelow(0, i + 1)); }

 private:
  struct Layer {
    const float* weights;  // by input
    std::ptrdiff_t stride;
    float* sums;  // of unit o at sums[o]: what the group contributes, up to unit end
    int end;
  };

  // Units of layer l of degree below `degree`; of the output, parameters of columns before it.
  int UnitsBelow(int l, int degree) const {
    if (l == hidden_) return degree * network_.parameters;
    return degree == 0 ? 0 : network_.ends[l + 1][degree - 1];
  }

  // Those of the pack of units from o on that lie in [begin, end).
  void Activate(int l, int o, int begin, int end) const {
    const PackMask lanes = LanesIn(begin - o, end - o);
    float* const value = Data(units_.value[l]) + o;
    const Pack before = Pack::Load(value);
    Pack sum = before + Pack::Load(layers_[l].sums + o);
    if (network_.residual && l % 2 == 0) {
      float* const skip = Data(units_.skip) + o;
      const Pack h = Pack::Load(skip);
      if (l > 0) sum = sum + h;
      Select(lanes, sum, h).Store(skip);
    }
    cpu::WithActivation(network_.activation, [&]<typename Function>(Function) {
      Select(lanes, Function::Value(sum), before).Store(value);
    });
  }

  // Inputs [begin, end) of a layer, of the given values, into the sums of its units from `first`
  // on.
  static void AddProducts(const Layer& layer, int begin, int end, const float* values, int first) {
    const Products products{layer.weights + begin * layer.stride, layer.stride, values,
                            end - begin};
    constexpr int kTile = kTilePacks * Pack::kWidth;
    int o = AlignDown(first);
    for (; o + kTile < layer.end + Pack::kWidth; o += kTile)
      products.AddTo<kTilePacks>(o, layer.sums + o);
    for (; o < layer.end; o += Pack::kWidth) products.AddTo<1>(o, layer.sums + o);
  }

  const SweptNetwork& network_;
  const SweptUnits& units_;
  const int hidden_;
  const float* const theta_;
  std::array<Layer, SweptNetwork::kMaxLayers> layers_;
};

}  // namespace

void CpuKernels::SweepRow(const SweptNetwork& network, const SweptUnits& units,
                          ScalarBijection bijection, Weights weights, int first, int end,
                          Arena& arena, Matrix z, Vector log_det) const {
  const Arena::Scope scope(arena);
  RowSweep sweep(network, units, weights, first, end, arena);
  WithFormula(bijection, [&](const auto& formula) {
    Pack theta[kMaxTheta];
    for (int i = first; i < end; ++i) {
      sweep.Units(i);
      for (int p = 0; p < network.parameters; ++p) theta[p] = Pack(sweep.Theta(i, p));
      float* const column = Column(z, i);
      const Mapped<Pack> x = cpu::Inverse(formula, Pack(*column), theta);
      cpu::PutAlone(x.value.v[0], column);
      log_det.data[0] += static_cast<double>(x.log_det.v[0]);
      sweep.Found(i, x.value.v[0]);
    }
  });
}

}  // namespace millrace
