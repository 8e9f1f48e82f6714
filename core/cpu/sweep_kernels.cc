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

// Lane i of a pack, in all lanes.
Pack Broadcast(Pack pack, int i) { return __builtin_shuffle(pack.v, Pack::Ints{} + i); }

// Some inputs of a layer: lanes [lane, lane + count) of a pack, their weights by input.
struct Products {
  const float* weights;
  std::ptrdiff_t stride;
  Pack values;
  int lane;
  int count;

  // Adds to kPacks packs of sums what they contribute to outputs from o on; returns the first pack.
  template <int kPacks>
  Pack AddTo(int o, float* sums) const {
    Pack sum[kPacks];
    for (int j = 0; j < kPacks; ++j) sum[j] = Pack::Load(sums + j * Pack::kWidth);
    const float* w = weights + o;
    for (int k = 0; k < count; ++k, w += stride) {
      const Pack value = Broadcast(values, lane + k);
      for (int j = 0; j < kPacks; ++j) sum[j].v += Pack::Load(w + j * Pack::kWidth).v * value.v;
    }
    for (int j = 0; j < kPacks; ++j) sum[j].Store(sums + j * Pack::kWidth);
    return sum[0];
  }
};

constexpr int kTilePacks = 4;

// Column i waits for the units that use column i - 1, layer by layer; that chain is what a sweep
// takes. So what it needs next stays in registers, and packs are read as they were written, on
// their own boundaries: a load that spans two stores, or one wider than the store, waits longest.
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
      const int sums_begin = AlignDown(UnitsBelow(l, first));
      const int sums_end = UnitsBelow(l, end);
      float* const sums = Data(arena.NewFlat(sums_end - sums_begin));
      std::fill_n(sums, RoundUp(sums_end - sums_begin, kRowAlign), 0.0f);
      layers_[l] = {by_input.At(network.layers[l].weight), sums - sums_begin, sums_end};
    }
  }

  // The sums of the first units of degree i of layer 0, where no column of the group is known.
  Pack FirstSums(int i) const { return SumsAt(0, UnitsBelow(0, i)); }

  // Computes the units of degree i, and adds what they contribute. `sums` is the pack of the first
  // ones' sums.
  void Units(int i, Pack sums) const {
    for (int l = 0; l < hidden_; ++l) {
      const int begin = UnitsBelow(l, i), end = UnitsBelow(l, i + 1);
      const int next = UnitsBelow(l + 1, i);
      Pack of_next = SumsAt(l + 1, next);
      for (int o = AlignDown(begin); o < end && begin < end; o += Pack::kWidth) {
        if (o > begin) sums = Pack::Load(layers_[l].sums + o);
        const int first = std::max(o, begin), last = std::min(o + Pack::kWidth, end);
        const Pack values = Activate(l, o, LanesIn(first - o, last - o), sums);
        of_next = AddProducts(l + 1, first, last, values, o, next);
      }
      sums = of_next;
    }
  }

  // Parameter p of column i.
  float Theta(int i, int p) const {
    const int o = i * network_.parameters + p;
    return theta_[o] + layers_[hidden_].sums[o];
  }

  // Adds what column i, found to be x, contributes; returns the sums of the first units of degree
  // i + 1.
  Pack Found(int i, Pack x) const { return AddProducts(0, i, i + 1, x, i, UnitsBelow(0, i + 1)); }

 private:
  struct Layer {
    MatrixByInput matrix;
    float* sums;  // of unit o at sums[o]: what the group contributes, up to unit end
    int end;
  };

  // Units of layer l of degree below `degree`; of the output, parameters of columns before it.
  int UnitsBelow(int l, int degree) const {
    if (l == hidden_) return degree * network_.parameters;
    return degree == 0 ? 0 : network_.ends[l + 1][degree - 1];
  }

  // The pack that has the sum of a unit.
  Pack SumsAt(int l, int unit) const {
    return unit < layers_[l].end ? Pack::Load(layers_[l].sums + AlignDown(unit)) : Pack(0.0f);
  }

  // Completes the units from o on whose lanes are given, and returns the pack they stand in.
  Pack Activate(int l, int o, PackMask lanes, Pack sum) const {
    float* const value = Data(units_.value[l]) + o;
    const Pack before = Pack::Load(value);
    sum = before + sum;
    if (network_.residual && l % 2 == 0) {
      float* const skip = Data(units_.skip) + o;
      const Pack h = Pack::Load(skip);
      if (l > 0) sum = sum + h;
      Select(lanes, sum, h).Store(skip);
    }
    Pack result;
    cpu::WithActivation(network_.activation, [&]<typename Function>(Function) {
      result = Select(lanes, Function::Value(sum), before);
    });
    result.Store(value);
    return result;
  }

  // Adds inputs [begin, end) of layer l, which stand in a pack of inputs from `base` on, to the
  // sums of its units from `first` on; returns the pack that has unit `first`.
  Pack AddProducts(int l, int begin, int end, Pack values, int base, int first) const {
    constexpr int kPanel = MatrixByInput::kPanel, kTile = kTilePacks * Pack::kWidth;
    const Layer& layer = layers_[l];
    Pack of_first(0.0f);
    for (int o = AlignDown(first); o < layer.end;) {
      const MatrixByInput::Panel panel = layer.matrix.PanelOf(o);
      const Products products{panel.column + begin * panel.stride - (o & -kPanel), panel.stride,
                              values, begin - base, end - begin};
      const int panel_end = std::min(layer.end, (o & -kPanel) + kPanel);
      if (o == AlignDown(first)) {
        of_first = products.AddTo<1>(o, layer.sums + o);
        o += Pack::kWidth;
      }
      for (; o + kTile < panel_end + Pack::kWidth; o += kTile)
        products.AddTo<kTilePacks>(o, layer.sums + o);
      for (; o < panel_end; o += Pack::kWidth) products.AddTo<1>(o, layer.sums + o);
    }
    return of_first;
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
    Pack sums = sweep.FirstSums(first);
    for (int i = first; i < end; ++i) {
      sweep.Units(i, sums);
      for (int p = 0; p < network.parameters; ++p) theta[p] = Pack(sweep.Theta(i, p));
      float* const column = Column(z, i);
      const Mapped<Pack> x = cpu::Inverse(formula, Pack(*column), theta);
      cpu::PutAlone(x.value.v[0], column);
      log_det.data[0] += static_cast<double>(x.log_det.v[0]);
      sums = sweep.Found(i, x.value);
    }
  });
}

}  // namespace millrace
