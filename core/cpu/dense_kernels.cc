// SPDX-License-Identifier: Apache-2.0
// Dense and masked dense layers. Hidden units are sorted by degree, so a masked layer is a
// staircase: each tile of outputs multiplies only the inputs its last row may use.
#include <algorithm>

#include "core/base/check.h"
#include "core/cpu/activations.h"
#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/gemm.h"
#include "core/cpu/one_row.h"
#include "core/cpu/outer_product.h"

namespace millrace {
namespace {

using cpu::Column;
using cpu::Data;
using cpu::PaddedRows;
using gemm::Range;

int InputEnd(const DenseLayer& layer, int output) {
  return layer.extent.empty() ? layer.weight.cols : layer.extent[output];
}

}  // namespace

void CpuKernels::Dense(const DenseLayer& layer, DenseRange range, Weights weights,
                       const ConstMatrix& in, DenseStart start, Activation activation,
                       const Matrix& out) const {
  if (weights.by_input != nullptr && in.rows == 1)
    return DenseOneRow(layer, range, weights, in, start, activation, out);
  const gemm::Operands operands{
      Data(weights, layer.weight), layer.weight.ld, 1, Data(in), in.stride, Data(out), out.stride};
  const int rows = PaddedRows(in);
  const auto inputs = [&](int output, int count) {
    return Range{range.input_begin, std::min(range.input_end, InputEnd(layer, output + count - 1))};
  };
  const auto all_rows = [rows](int, int) { return Range{0, rows}; };
  const bool biased = start == DenseStart::kBias && layer.bias.rows > 0;
  const float* bias = biased ? Data(weights, layer.bias) : nullptr;
  cpu::WithActivation(activation, [&]<typename Function>(Function) {
    if (start == DenseStart::kAccumulate)
      gemm::Multiply(operands, range.output_begin, range.output_end, inputs, all_rows,
                     gemm::Accumulate<Function>{});
    else
      gemm::Multiply(operands, range.output_begin, range.output_end, inputs, all_rows,
                     gemm::Write<Function>{bias});
  });
}

void CpuKernels::DenseInputAdjoint(const DenseLayer& layer, DenseRange range, Weights weights,
                                   const ConstMatrix& out_bar, bool accumulate,
                                   const Matrix& in_bar) const {
  const gemm::Operands operands{Data(weights, layer.weight),
                                1,
                                layer.weight.ld,
                                Data(out_bar),
                                out_bar.stride,
                                Data(in_bar),
                                in_bar.stride};
  const int rows = PaddedRows(in_bar);
  // Outputs that use an input of the tile: those whose extent is beyond the tile's first input.
  const auto outputs = [&](int input, int) {
    int first = 0;
    if (!layer.extent.empty())
      first = static_cast<int>(std::upper_bound(layer.extent.begin(), layer.extent.end(), input) -
                               layer.extent.begin());
    return Range{std::max(range.output_begin, first), range.output_end};
  };
  const auto all_rows = [rows](int, int) { return Range{0, rows}; };
  if (accumulate)
    gemm::Multiply(operands, range.input_begin, range.input_end, outputs, all_rows,
                   gemm::Accumulate<Identity>{});
  else
    gemm::Multiply(operands, range.input_begin, range.input_end, outputs, all_rows,
                   gemm::Write<Identity>{});
}

void CpuKernels::DenseWeightAdjoint(const DenseLayer& layer, const ConstMatrix& in,
                                    const ConstMatrix& out_bar, float sign, Arena& arena,
                                    Gradients gradients) const {
  cpu::AddOuterProduct(
      out_bar, in, sign,
      [&](int output) {
        return Range{0, InputEnd(layer, output)};
      },
      arena, layer.weight, gradients);
  if (layer.bias.rows > 0) {
    float* const b_bar = Data(gradients, layer.bias);
    for (int o = 0; o < layer.weight.rows; ++o)
      b_bar[o] += sign * cpu::SumRows(Column(out_bar, o), in.rows);
  }
}

void CpuKernels::Activate(Activation activation, const Matrix& x) const {
  cpu::WithActivation(activation, [&]<typename Function>(Function) {
    if (x.IsFlat())
      return cpu::ForPacksOfColumns(x.cols, [&](int c, int lanes) {
        cpu::StoreColumns(Function::Value(cpu::LoadColumns(x, c, lanes)), lanes, c, x);
      });
    const int rows = PaddedRows(x);
    for (int c = 0; c < x.cols; ++c) {
      float* column = Column(x, c);
      for (int r = 0; r < rows; r += Pack::kWidth)
        Function::Value(Pack::Load(column + r)).Store(column + r);
    }
  });
}

void CpuKernels::ActivationAdjoint(Activation activation, const ConstMatrix& value,
                                   const Matrix& bar) const {
  cpu::WithActivation(activation, [&]<typename Function>(Function) {
    const int rows = PaddedRows(bar);
    for (int c = 0; c < bar.cols; ++c) {
      const float* v = Column(value, c);
      float* b = Column(bar, c);
      for (int r = 0; r < rows; r += Pack::kWidth)
        (Pack::Load(b + r) * Function::Derivative(Pack::Load(v + r))).Store(b + r);
    }
  });
}

void CpuKernels::ActivationSlopeAdjoint(Activation activation, const ConstMatrix& value,
                                        const ConstMatrix& s, const Matrix& bar,
                                        const Matrix& value_bar) const {
  cpu::WithActivation(activation, [&]<typename Function>(Function) {
    for (int c = 0; c < bar.cols; ++c) {
      float* const v_bar = Column(value_bar, c);
      float* const b = Column(bar, c);
      for (int r = 0; r < PaddedRows(bar); r += Pack::kWidth) {
        const Pack v = Pack::Load(Column(value, c) + r);
        const Pack product = Pack::Load(b + r) * Pack::Load(Column(s, c) + r);
        (Pack::Load(v_bar + r) + product * Function::SlopeDerivative(v)).Store(v_bar + r);
        (Pack::Load(b + r) * Function::Derivative(v)).Store(b + r);
      }
    }
  });
}

}  // namespace millrace
