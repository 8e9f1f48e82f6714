// SPDX-License-Identifier: Apache-2.0
#include "tests/support/plain_kernels.h"

#include <algorithm>
#include <cmath>

#include "core/exec/formulas.h"
#include "core/math/activation.h"
#include "tests/support/plain_views.h"

namespace millrace {
namespace {

template <typename Function>
void ForEach(const ConstMatrix& m, Function&& function) {
  for (int c = 0; c < m.cols; ++c)
    for (int r = 0; r < m.rows; ++r) function(r, c);
}

double Activated(Activation activation, double x) {
  switch (activation) {
    case Activation::kIdentity:
      return Identity::Value(x);
    case Activation::kRelu:
      return Relu::Value(x);
    case Activation::kTanh:
      return HyperbolicTangent::Value(x);
    case Activation::kElu:
      return Elu::Value(x);
  }
  return x;
}

// The derivative of an activation where its value is y.
double ActivationSlope(Activation activation, double y) {
  switch (activation) {
    case Activation::kIdentity:
      return Identity::Derivative(y);
    case Activation::kRelu:
      return Relu::Derivative(y);
    case Activation::kTanh:
      return HyperbolicTangent::Derivative(y);
    case Activation::kElu:
      return Elu::Derivative(y);
  }
  return 1.0;
}

// The derivative of that by y.
double ActivationBend(Activation activation, double y) {
  switch (activation) {
    case Activation::kIdentity:
      return Identity::SlopeDerivative(y);
    case Activation::kRelu:
      return Relu::SlopeDerivative(y);
    case Activation::kTanh:
      return HyperbolicTangent::SlopeDerivative(y);
    case Activation::kElu:
      return Elu::SlopeDerivative(y);
  }
  return 0.0;
}

// How many inputs output o of a layer uses.
int Extent(const DenseLayer& layer, int o) {
  return layer.extent.empty() ? layer.weight.cols : layer.extent[o];
}

}  // namespace

// --- moving data
// -----------------------------------------------------------------------------------

void PlainKernels::Load(const float* host, const Matrix& to) const {
  ForEach(to,
          [&](int r, int c) { At(to, r, c) = host[static_cast<std::ptrdiff_t>(r) * to.cols + c]; });
}

void PlainKernels::Store(const ConstMatrix& from, float* host) const {
  ForEach(from, [&](int r, int c) {
    host[static_cast<std::ptrdiff_t>(r) * from.cols + c] = static_cast<float>(At(from, r, c));
  });
}

void PlainKernels::Copy(const ConstMatrix& from, const Matrix& to) const {
  ForEach(to, [&](int r, int c) { At(to, r, c) = At(from, r, c); });
}

void PlainKernels::Fill(double value, const Matrix& to) const {
  ForEach(to, [&](int r, int c) { At(to, r, c) = value; });
}

void PlainKernels::Add(const ConstMatrix& from, const Matrix& to) const {
  ForEach(to, [&](int r, int c) { At(to, r, c) += At(from, r, c); });
}

void PlainKernels::Negate(const Matrix& x) const {
  ForEach(x, [&](int r, int c) { At(x, r, c) = -At(x, r, c); });
}

void PlainKernels::Gather(const ConstMatrix& from, std::span<const int> columns,
                          const Matrix& to) const {
  for (std::size_t j = 0; j < columns.size(); ++j)
    for (int r = 0; r < to.rows; ++r) At(to, r, static_cast<int>(j)) = At(from, r, columns[j]);
}

void PlainKernels::Scatter(const ConstMatrix& from, std::span<const int> columns,
                           const Matrix& to) const {
  for (std::size_t j = 0; j < columns.size(); ++j)
    for (int r = 0; r < to.rows; ++r) At(to, r, columns[j]) = At(from, r, static_cast<int>(j));
}

// --- dense layers
// ----------------------------------------------------------------------------------

void PlainKernels::Dense(const DenseLayer& layer, DenseRange range, Weights weights,
                         const ConstMatrix& in, DenseStart start, Activation activation,
                         const Matrix& out) const {
  for (int o = range.output_begin; o < range.output_end; ++o) {
    const bool biased = start == DenseStart::kBias && layer.bias.rows > 0;
    const double bias = biased ? At(weights, layer.bias, 0, o) : 0.0;
    const int input_end = std::min(range.input_end, Extent(layer, o));
    for (int r = 0; r < out.rows; ++r) {
      double sum = start == DenseStart::kAccumulate ? At(out, r, o) : bias;
      for (int i = range.input_begin; i < input_end; ++i)
        sum += At(weights, layer.weight, o, i) * At(in, r, i);
      At(out, r, o) = Activated(activation, sum);
    }
  }
}

void PlainKernels::SweepColumns(const SweptNetwork& network, const SweptUnits& units,
                                ScalarBijection bijection, Weights weights, int first, int end,
                                Arena&, const Matrix& z, Vector log_det,
                                Vectors column_log_det) const {
  const int hidden = network.hidden(), p = network.parameters;
  for (int i = first; i < end; ++i) {
    DenseRange range{0, 0, first, i};
    for (int l = 0; l <= hidden; ++l) {
      range.output_begin = network.UnitsBelow(l, i);
      range.output_end = network.UnitsBelow(l, i + 1);
      const ConstMatrix in = l == 0 ? ConstMatrix(z) : ConstMatrix(units.value[l - 1]);
      const Matrix out = l == hidden ? units.theta : units.value[l];
      const bool block_end = l < hidden && network.residual && l % 2 == 0;
      Dense(network.layers[l], range, weights, in,
            network.StartsAtBias(l, first) ? DenseStart::kBias : DenseStart::kAccumulate,
            l == hidden || block_end ? Activation::kIdentity : network.activation, out);
      if (block_end) {
        const int count = range.output_end - range.output_begin;
        const Matrix sums = out.Columns(range.output_begin, count);
        const Matrix h = units.skip.Columns(range.output_begin, count);
        if (l > 0) Add(h, sums);
        Copy(sums, h);
        Activate(network.activation, sums);
      }
      range.input_begin = network.UnitsBelow(l, first);
      range.input_end = range.output_end;
    }
    BijectionInverse(bijection, units.theta.Columns(i * p, p), z.Columns(i, 1),
                     column_log_det.empty() ? log_det : column_log_det[i]);
  }
}

void PlainKernels::DenseInputAdjoint(const DenseLayer& layer, DenseRange range, Weights weights,
                                     const ConstMatrix& out_bar, bool accumulate,
                                     const Matrix& in_bar) const {
  for (int i = range.input_begin; i < range.input_end; ++i) {
    for (int r = 0; r < in_bar.rows; ++r) {
      double sum = accumulate ? At(in_bar, r, i) : 0.0;
      for (int o = range.output_begin; o < range.output_end; ++o)
        if (i < Extent(layer, o)) sum += At(weights, layer.weight, o, i) * At(out_bar, r, o);
      At(in_bar, r, i) = sum;
    }
  }
}

void PlainKernels::DenseWeightAdjoint(const DenseLayer& layer, const ConstMatrix& in,
                                      const ConstMatrix& out_bar, float sign, Arena&,
                                      Gradients gradients) const {
  for (int o = 0; o < layer.weight.rows; ++o) {
    for (int r = 0; r < in.rows; ++r) {
      const double bar = sign * At(out_bar, r, o);
      if (layer.bias.rows > 0) At(gradients, layer.bias, 0, o) += bar;
      for (int i = 0; i < Extent(layer, o); ++i)
        At(gradients, layer.weight, o, i) += bar * At(in, r, i);
    }
  }
}

void PlainKernels::Activate(Activation activation, const Matrix& x) const {
  ForEach(x, [&](int r, int c) { At(x, r, c) = Activated(activation, At(x, r, c)); });
}

void PlainKernels::ActivationAdjoint(Activation activation, const ConstMatrix& value,
                                     const Matrix& bar) const {
  ForEach(bar,
          [&](int r, int c) { At(bar, r, c) *= ActivationSlope(activation, At(value, r, c)); });
}

void PlainKernels::ActivationSlopeAdjoint(Activation activation, const ConstMatrix& value,
                                          const ConstMatrix& s, const Matrix& bar,
                                          const Matrix& value_bar) const {
  ForEach(bar, [&](int r, int c) {
    const double v = At(value, r, c);
    At(value_bar, r, c) += At(bar, r, c) * At(s, r, c) * ActivationBend(activation, v);
    At(bar, r, c) *= ActivationSlope(activation, v);
  });
}

void PlainKernels::Broadcast(Slice slice, Weights weights, const Matrix& theta) const {
  ForEach(theta, [&](int r, int c) { At(theta, r, c) = At(weights, slice, 0, c); });
}

void PlainKernels::BroadcastAdjoint(Slice slice, const ConstMatrix& theta_bar, float sign,
                                    Gradients gradients) const {
  ForEach(theta_bar,
          [&](int r, int c) { At(gradients, slice, 0, c) += sign * At(theta_bar, r, c); });
}

void PlainKernels::StatisticsAdjoint(Slice statistics, Weights weights, const ConstMatrix& x,
                                     double share, Gradients gradients) const {
  ForEach(x, [&](int r, int c) {
    const double deviation = At(x, r, c) - At(weights, statistics, 0, 2 * c);
    At(gradients, statistics, 0, 2 * c) += share * deviation;
    At(gradients, statistics, 0, 2 * c + 1) +=
        share * (deviation * deviation - At(weights, statistics, 0, 2 * c + 1));
  });
}

// --- scalar bijections
// -----------------------------------------------------------------------------

namespace {

// theta[0 .. parameters) of value (r, c), in an array of its own.
std::vector<double> ThetaOf(int parameters, const ConstMatrix& theta, int r, int c) {
  std::vector<double> values(parameters);
  for (int k = 0; k < parameters; ++k) values[k] = At(theta, r, c * parameters + k);
  return values;
}

// grad = adjoint(x, theta, grad, log_det_bar, theta_bar) for every value.
template <typename Adjoint>
void AdjointOfEach(int parameters, const Adjoint& adjoint, const ConstMatrix& theta,
                   const ConstMatrix& x, const ConstVector& log_det_bar, const Matrix& grad,
                   const Matrix& theta_bar) {
  ForEach(grad, [&](int r, int c) {
    std::vector<double> bars(parameters);
    At(grad, r, c) = adjoint(At(x, r, c), ThetaOf(parameters, theta, r, c).data(), At(grad, r, c),
                             log_det_bar.data[r], bars.data());
    for (int k = 0; k < parameters; ++k) At(theta_bar, r, c * parameters + k) = bars[k];
  });
}

}  // namespace

void PlainKernels::BijectionForward(ScalarBijection bijection, const ConstMatrix& theta,
                                    const Matrix& x, Vector log_det) const {
  WithFormula(bijection, [&](const auto& f) {
    ForEach(x, [&](int r, int c) {
      const auto z = f.Forward(At(x, r, c), ThetaOf(f.parameters(), theta, r, c).data());
      At(x, r, c) = z.value;
      log_det.data[r] += z.log_det;
    });
  });
}

void PlainKernels::BijectionInverse(ScalarBijection bijection, const ConstMatrix& theta,
                                    const Matrix& z, Vector log_det) const {
  WithFormula(bijection, [&](const auto& f) {
    ForEach(z, [&](int r, int c) {
      const auto x = f.Inverse(At(z, r, c), ThetaOf(f.parameters(), theta, r, c).data());
      At(z, r, c) = x.value;
      log_det.data[r] += x.log_det;
    });
  });
}

void PlainKernels::BijectionAdjoint(ScalarBijection bijection, const ConstMatrix& theta,
                                    const ConstMatrix& x, ConstVector log_det_bar,
                                    const Matrix& grad, const Matrix& theta_bar) const {
  WithFormula(bijection, [&](const auto& f) {
    const auto adjoint = [&](double v, const double* t, double bar, double log_bar, double* t_bar) {
      return f.Adjoint(v, t, bar, log_bar, t_bar);
    };
    AdjointOfEach(f.parameters(), adjoint, theta, x, log_det_bar, grad, theta_bar);
  });
}

void PlainKernels::BijectionAdjointSolve(ScalarBijection bijection, const ConstMatrix& theta,
                                         const ConstMatrix& x, ConstVector log_det_bar,
                                         const Matrix& grad, const Matrix& theta_bar) const {
  WithFormula(bijection, [&](const auto& f) {
    const auto adjoint = [&](double v, const double* t, double bar, double log_bar, double* t_bar) {
      return AdjointSolve(f, v, t, bar, log_bar, t_bar);
    };
    AdjointOfEach(f.parameters(), adjoint, theta, x, log_det_bar, grad, theta_bar);
  });
}

void PlainKernels::LogScalePenaltyAdjoint(ScalarBijection bijection, const ConstMatrix& theta,
                                          ConstVector log_det_bar, double penalty,
                                          const Matrix& theta_bar) const {
  if (bijection.kind != ScalarBijection::Kind::kAffine) return;
  for (int r = 0; r < theta.rows; ++r)
    for (int c = 1; c < theta.cols; c += 2)
      At(theta_bar, r, c) +=
          millrace::LogScalePenaltyAdjoint(At(theta, r, c), log_det_bar.data[r], penalty);
}

}  // namespace millrace
