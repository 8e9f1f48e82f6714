// SPDX-License-Identifier: Apache-2.0
// Log-densities of base distributions.
#include <algorithm>
#include <cmath>

#include "core/cpu/base_parameters.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/one_row.h"

namespace millrace {

using cpu::AddGradients;
using cpu::AddTo;
using cpu::Column;
using cpu::Data;
using cpu::PaddedRows;
using cpu::ToPack;
using cpu::ValueOf;

namespace {

// ln p of a column of kNormal.
class NormalColumn {
 public:
  explicit NormalColumn(const BaseColumn& column)
      : location_(column.location),
        inverse_scale_(column.log_scale == 0.0 ? 1.0 : std::exp(-column.log_scale)),
        top_(-column.log_scale - kHalfLogTwoPi) {}
  double LogDensity(float z) const {
    const double w = (z - location_) * inverse_scale_;
    return top_ - 0.5 * w * w;
  }

 private:
  const double location_, inverse_scale_, top_;
};

// sums[r] += ln p(z[r, column]) of one component. Of a flat row, whole packs may be read too.
void AddLogDensity(const BaseLayer& layer, const BaseColumn& column, const float* z, int rows,
                   double* sums) {
  if (layer.kind == BaseLayer::Kind::kNormal) {
    const NormalColumn normal(column);
    for (int r = 0; r < rows; ++r) sums[r] += normal.LogDensity(z[r]);
    return;
  }
  const Pack location(static_cast<float>(column.location));
  const Pack inverse_scale(static_cast<float>(std::exp(-column.log_scale)));
  const Pack log_scale(static_cast<float>(column.log_scale));
  WithBaseDensity(layer, column.shape, [&](const auto& density) {
    for (int r = 0; r < rows; r += Pack::kWidth) {
      const Pack w = (cpu::LoadUnaligned(z + r) - location) * inverse_scale;
      AddTo(sums + r, density.LogDensity(w) - log_scale);
    }
  });
}

// joint[k] = ln of the weight of component k and its density at z.
void JointLogDensity(const BaseLayer& layer, Weights weights, const BaseWeights& component_weights,
                     ConstMatrix z, Vectors joint) {
  for (int k = 0; k < layer.components; ++k) {
    std::fill_n(joint[k].data, PaddedRows(z), component_weights.log[k]);
    for (int c = 0; c < z.cols; ++c)
      AddLogDensity(layer, ReadBaseColumn(layer, k, c, ValueOf(weights)), Column(z, c), z.rows,
                    joint[k].data);
  }
}

// Of one column of one component, whose densities weigh `weight` in the loss: adds dL/dz, and
// writes what is to be summed over rows for the location's, scale's and shape's gradients.
void ColumnAdjoint(const BaseLayer& layer, const BaseColumn& column, const float* z,
                   const double* weight, int padded_rows, float* grad, Matrix bars) {
  const Pack location(static_cast<float>(column.location));
  const Pack inverse_scale(static_cast<float>(std::exp(-column.log_scale)));
  WithBaseDensity(layer, column.shape, [&](const auto& density) {
    for (int r = 0; r < padded_rows; r += Pack::kWidth) {
      const Pack w = (Pack::Load(z + r) - location) * inverse_scale;
      const Pack bar = ToPack(weight + r);
      const Pack w_bar = bar * density.Slope(w);
      const Pack z_bar = w_bar * inverse_scale;
      (Pack::Load(grad + r) + z_bar).Store(grad + r);
      (-z_bar).Store(Column(bars, 0) + r);
      (-bar - w_bar * w).Store(Column(bars, 1) + r);
      (bar * density.ShapeSlope(w)).Store(Column(bars, 2) + r);
    }
  });
}

}  // namespace

void CpuKernels::BaseLogDensity(const BaseLayer& layer, Weights weights, const ConstMatrix& z,
                                Arena& arena, Vector log_p, Vectors column_log_p) const {
  const auto value = ValueOf(weights);
  if (layer.components == 1) {
    const bool normal_row = layer.kind == BaseLayer::Kind::kNormal && z.IsFlat();
    if (normal_row && column_log_p.empty()) {
      for (int c = 0; c < z.cols; ++c)
        log_p.data[0] += NormalColumn(ReadBaseColumn(layer, 0, c, value)).LogDensity(Data(z)[c]);
      return;
    }
    for (int c = 0; c < z.cols; ++c)
      AddLogDensity(layer, ReadBaseColumn(layer, 0, c, value), Column(z, c), z.rows,
                    column_log_p.empty() ? log_p.data : column_log_p[c].data);
    return;
  }
  const Arena::Scope scope(arena);
  const Vectors joint = arena.NewVectors(z.rows, layer.components);
  const BaseWeights component_weights = ReadBaseWeights(layer, value);
  if (column_log_p.empty()) {
    JointLogDensity(layer, weights, component_weights, z, joint);
    for (int r = 0; r < z.rows; ++r) log_p.data[r] += LogSumExp(joint, r);
    return;
  }
  // ln p(z_1 .. z_c) grows column by column; its growth is the column's term.
  JointLogDensity(layer, weights, component_weights, z.Columns(0, 0), joint);
  const Vector before = arena.NewVector(z.rows);
  std::fill_n(before.data, PaddedRows(z), 0.0);
  for (int c = 0; c < z.cols; ++c) {
    for (int k = 0; k < layer.components; ++k)
      AddLogDensity(layer, ReadBaseColumn(layer, k, c, value), Column(z, c), z.rows, joint[k].data);
    for (int r = 0; r < z.rows; ++r) {
      const double sum = LogSumExp(joint, r);
      column_log_p[c].data[r] += sum - before.data[r];
      before.data[r] = sum;
    }
  }
}

void CpuKernels::BaseLogDensityAdjoint(const BaseLayer& layer, Weights weights,
                                       const ConstMatrix& z, ConstVector log_p_bar, Arena& arena,
                                       const Matrix& grad, Gradients gradients) const {
  const Arena::Scope scope(arena);
  const int rows = PaddedRows(z);
  const auto value = ValueOf(weights);
  // What each component's density weighs in the loss.
  const Vectors share = arena.NewVectors(z.rows, layer.components);
  std::fill_n(share.data, share.extent(), 0.0);
  if (layer.components == 1) {
    std::copy_n(log_p_bar.data, z.rows, share[0].data);
  } else {
    const BaseWeights component_weights = ReadBaseWeights(layer, value);
    JointLogDensity(layer, weights, component_weights, z, share);
    for (int r = 0; r < z.rows; ++r) {
      const double sum = LogSumExp(share, r);
      for (int k = 0; k < layer.components; ++k)
        share[k].data[r] = log_p_bar.data[r] * std::exp(share[k].data[r] - sum);
    }
    for (int k = 0; k < layer.components && !gradients.empty(); ++k) {
      double bar = 0.0;
      for (int r = 0; r < z.rows; ++r)
        bar += share[k].data[r] - log_p_bar.data[r] * std::exp(component_weights.log[k]);
      cpu::Data(gradients, layer.logits)[k] += static_cast<float>(bar);
    }
  }
  const Matrix column = arena.NewMatrix(z.rows, 1);  // z and grad may be one
  const Matrix bars = arena.NewMatrix(z.rows, 3);
  for (int c = 0; c < z.cols; ++c) {
    std::copy_n(Column(z, c), rows, Column(column, 0));
    std::fill_n(Column(grad, c), rows, 0.0f);
    for (int k = 0; k < layer.components; ++k) {
      const BaseColumn values = ReadBaseColumn(layer, k, c, value);
      ColumnAdjoint(layer, values, Column(column, 0), share[k].data, rows, Column(grad, c), bars);
      AddGradients(layer, values, k, c, bars, gradients);
    }
  }
}

}  // namespace millrace
