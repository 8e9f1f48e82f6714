// SPDX-License-Identifier: Apache-2.0
// Sweeps: of a block, the sums of a few units at a time; of a row that comes alone, whatever
// becomes known is at once added to the sums of all that use it, so that a column waits for the few
// products of the column before it only.
#include <algorithm>
#include <array>

#include "core/cpu/activations.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/formula_calls.h"
#include "core/cpu/gemm.h"
#include "core/cpu/one_row.h"
#include "core/exec/formulas.h"

namespace millrace {
namespace {

using cpu::Column;
using cpu::Data;

// Columns of a step. What the columns before a step contribute to it is added when it begins, what
// its own columns contribute to each other column by column.
constexpr int kStep = 16;

constexpr int AlignDown(int n) { return n & -Pack::kWidth; }

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
      : network_(network), units_(units), hidden_(network.hidden()), theta_(Data(units.theta)) {
    const auto& by_input = *static_cast<const WeightsByInput*>(weights.by_input);
    for (int l = 0; l <= hidden_; ++l) {
      const int sums_begin = AlignDown(network_.UnitsBelow(l, first));
      const int sums_end = network_.UnitsBelow(l, end);
      float* const sums = Data(arena.NewFlat(sums_end - sums_begin));
      std::fill_n(sums, RoundUp(sums_end - sums_begin, kRowAlign), 0.0f);
      if (network.StartsAtBias(l, first)) {
        const float* const bias = Data(weights, network.layers[l].bias);
        std::copy_n(bias, sums_end, Data(l == hidden_ ? units.theta : units.value[l]));
      }
      layers_[l] = {by_input.At(network.layers[l].weight), sums - sums_begin, sums_end};
    }
  }

  // The sums of the first units of degree i of layer 0, where no column of the step is known.
  Pack FirstSums(int i) const { return SumsAt(0, network_.UnitsBelow(0, i)); }

  // Computes the units of degree i, and adds what they contribute. `sums` is the pack of the first
  // ones' sums.
  void Units(int i, Pack sums) const {
    for (int l = 0; l < hidden_; ++l) {
      const int begin = network_.UnitsBelow(l, i), end = network_.UnitsBelow(l, i + 1);
      const int next = network_.UnitsBelow(l + 1, i);
      Pack of_next = SumsAt(l + 1, next);
      for (int o = AlignDown(begin); o < end && begin < end; o += Pack::kWidth) {
        if (o > begin) sums = Pack::Load(layers_[l].sums + o);
        const int first = std::max(o, begin), last = std::min(o + Pack::kWidth, end);
        const Pack values = Activate(l, o, cpu::LanesIn(first - o, last - o), sums);
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
  Pack Found(int i, Pack x) const {
    return AddProducts(0, i, i + 1, x, i, network_.UnitsBelow(0, i + 1));
  }

  // What the columns before contribute to the units of degrees [i, end), a step's, is theirs, and
  // their sums start again.
  void BeginStep(int i, int end) const {
    for (int l = 0; l <= hidden_; ++l) {
      float* const values = l == hidden_ ? Data(units_.theta) : Data(units_.value[l]);
      const int first = network_.UnitsBelow(l, i), last = network_.UnitsBelow(l, end);
      for (int o = AlignDown(first); o < last; o += Pack::kWidth) {
        const PackMask lanes = cpu::LanesIn(first - o, last - o);
        const Pack before = Pack::Load(values + o), sums = Pack::Load(layers_[l].sums + o);
        Select(lanes, before + sums, before).Store(values + o);
        Select(lanes, Pack(0.0f), sums).Store(layers_[l].sums + o);
      }
    }
  }

 private:
  struct Layer {
    MatrixByInput matrix;
    float* sums;  // of unit o at sums[o]: what is not yet in its value, up to unit end
    int end;
  };

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
      if (l > 0) sum = sum + Pack::Load(skip);
      sum.Store(skip);  // other lanes' are of no more use, or come when their degree does
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

// The block's.
class BlockSweep {
 public:
  BlockSweep(const SweptNetwork& network, const SweptUnits& units, Weights weights, ConstMatrix x)
      : network_(network), units_(units), weights_(weights), x_(x) {}

  // Computes the units of degree i and the parameters of column i, of a step that begins at column
  // `first`.
  void Units(int first, int i) const {
    const int hidden = network_.hidden();
    for (int l = 0; l < hidden; ++l) {
      const Range units = UnitsOf(l, i, i + 1);
      const Range inputs = l == 0 ? Range{first, i} : UnitsOf(l - 1, first, i + 1);
      if (network_.residual && l % 2 == 0) {
        AddProducts<Identity>(l, first, inputs, units);
        EndBlock(l, units);
      } else {
        cpu::WithActivation(network_.activation, [&]<typename Function>(Function) {
          AddProducts<Function>(l, first, inputs, units);
        });
      }
    }
    AddProducts<Identity>(hidden, first, UnitsOf(hidden - 1, first, i + 1),
                          UnitsOf(hidden, i, i + 1));
  }

  // Adds what columns [first, i) contribute to those of a step, [i, end).
  void BeginStep(int first, int i, int end) const {
    for (int l = 0; l <= network_.hidden(); ++l)
      AddProducts<Identity>(l, first, l == 0 ? Range{first, i} : UnitsOf(l - 1, first, i),
                            UnitsOf(l, i, end));
  }

 private:
  using Range = gemm::Range;

  Range UnitsOf(int l, int first, int end) const {
    return {network_.UnitsBelow(l, first), network_.UnitsBelow(l, end)};
  }

  // Adds what inputs of layer l, from column `first` on, contribute to some of its units; the
  // function of the sums.
  template <typename Function>
  void AddProducts(int l, int first, Range inputs, Range units) const {
    const Slice& matrix = network_.layers[l].weight;
    const ConstMatrix in = l == 0 ? x_ : ConstMatrix(units_.value[l - 1]);
    const Matrix out = l == network_.hidden() ? units_.theta : units_.value[l];
    const Range rows{0, cpu::PaddedRows(in)};
    const gemm::Operands operands{
        Data(weights_, matrix), matrix.ld, 1, Data(in), in.stride, Data(out), out.stride};
    const auto multiply = [&](const auto& finish) {
      gemm::Multiply(
          operands, units.begin, units.end, [&](int, int) { return inputs; },
          [&](int, int) { return rows; }, finish);
    };
    if (network_.StartsAtBias(l, first))
      multiply(gemm::Write<Function>{Data(weights_, network_.layers[l].bias)});
    else
      multiply(gemm::Accumulate<Function>{});
  }

  // h is the sums and, of a later block, the h before; then the activation.
  void EndBlock(int l, Range units) const {
    cpu::WithActivation(network_.activation, [&]<typename Function>(Function) {
      for (int o = units.begin; o < units.end; ++o) {
        float* const h = Column(units_.skip, o);
        float* const value = Column(units_.value[l], o);
        for (int r = 0; r < cpu::PaddedRows(x_); r += Pack::kWidth) {
          Pack sum = Pack::Load(value + r);
          if (l > 0) sum = sum + Pack::Load(h + r);
          sum.Store(h + r);
          Function::Value(sum).Store(value + r);
        }
      }
    });
  }

  const SweptNetwork& network_;
  const SweptUnits& units_;
  const Weights weights_;
  const ConstMatrix x_;
};

// Calls step(i, end) for each step of columns [first, last).
template <typename Step>
void ForEachStep(int first, int last, const Step& step) {
  for (int i = first; i < last; i += kStep) step(i, std::min(last, i + kStep));
}

}  // namespace

void CpuKernels::SweepColumns(const SweptNetwork& network, const SweptUnits& units,
                              ScalarBijection bijection, Weights weights, int first, int end,
                              Arena& arena, const Matrix& z, Vector log_det,
                              Vectors column_log_det) const {
  const auto log_dets = [&](int i) { return column_log_det.empty() ? log_det : column_log_det[i]; };
  if (!units.theta.IsFlat()) {
    const BlockSweep sweep(network, units, weights, z);
    const int p = network.parameters;
    return ForEachStep(first, end, [&](int step, int step_end) {
      if (step > first) sweep.BeginStep(first, step, step_end);
      for (int i = step; i < step_end; ++i) {
        sweep.Units(step, i);
        BijectionInverse(bijection, units.theta.Columns(i * p, p), z.Columns(i, 1), log_dets(i));
      }
    });
  }
  const Arena::Scope scope(arena);
  const RowSweep sweep(network, units, weights, first, end, arena);
  WithFormula(bijection, [&](const auto& formula) {
    Pack theta[kMaxTheta];
    ForEachStep(first, end, [&](int step, int step_end) {
      if (step > first) sweep.BeginStep(step, step_end);
      Pack sums = sweep.FirstSums(step);
      for (int i = step; i < step_end; ++i) {
        sweep.Units(i, sums);
        for (int p = 0; p < network.parameters; ++p) theta[p] = Pack(sweep.Theta(i, p));
        const Mapped<Pack> x = cpu::Inverse(formula, Pack(*Column(z, i)), theta);
        cpu::PutColumn(x.value.v[0], i, z);
        log_dets(i).data[0] += static_cast<double>(x.log_det.v[0]);
        sums = sweep.Found(i, x.value);
      }
    });
  });
}

}  // namespace millrace
