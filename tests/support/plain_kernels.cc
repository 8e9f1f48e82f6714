// SPDX-License-Identifier: Apache-2.0
#include "tests/support/plain_kernels.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/math/activation.h"
#include "core/math/affine.h"
#include "core/math/log_tails.h"
#include "core/math/normal.h"
#include "tests/support/plain_views.h"

namespace millrace {
namespace {

template <typename Function>
void ForEach(ConstMatrix m, Function&& function) {
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

// How many inputs output o of a layer uses.
int Extent(const DenseLayer& layer, int o) {
  return layer.extent.empty() ? layer.weight.cols : layer.extent[o];
}

}  // namespace

// --- moving data
// -----------------------------------------------------------------------------------

void PlainKernels::Load(const float* host, Matrix to) const {
  ForEach(to,
          [&](int r, int c) { At(to, r, c) = host[static_cast<std::ptrdiff_t>(r) * to.cols + c]; });
}

void PlainKernels::Store(ConstMatrix from, float* host) const {
  ForEach(from, [&](int r, int c) {
    host[static_cast<std::ptrdiff_t>(r) * from.cols + c] = static_cast<float>(At(from, r, c));
  });
}

void PlainKernels::Copy(ConstMatrix from, Matrix to) const {
  ForEach(to, [&](int r, int c) { At(to, r, c) = At(from, r, c); });
}

void PlainKernels::Fill(double value, Matrix to) const {
  ForEach(to, [&](int r, int c) { At(to, r, c) = value; });
}

void PlainKernels::Add(ConstMatrix from, Matrix to) const {
  ForEach(to, [&](int r, int c) { At(to, r, c) += At(from, r, c); });
}

void PlainKernels::Negate(Matrix x) const {
  ForEach(x, [&](int r, int c) { At(x, r, c) = -At(x, r, c); });
}

void PlainKernels::Gather(ConstMatrix from, std::span<const int> columns, Matrix to) const {
  for (std::size_t j = 0; j < columns.size(); ++j)
    for (int r = 0; r < to.rows; ++r) At(to, r, static_cast<int>(j)) = At(from, r, columns[j]);
}

void PlainKernels::Scatter(ConstMatrix from, std::span<const int> columns, Matrix to) const {
  for (std::size_t j = 0; j < columns.size(); ++j)
    for (int r = 0; r < to.rows; ++r) At(to, r, columns[j]) = At(from, r, static_cast<int>(j));
}

// --- dense layers
// ----------------------------------------------------------------------------------

void PlainKernels::Dense(const DenseLayer& layer, DenseRange range, Weights weights, ConstMatrix in,
                         DenseStart start, Activation activation, Matrix out) const {
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

void PlainKernels::DenseInputAdjoint(const DenseLayer& layer, DenseRange range, Weights weights,
                                     ConstMatrix out_bar, bool accumulate, Matrix in_bar) const {
  for (int i = range.input_begin; i < range.input_end; ++i) {
    for (int r = 0; r < in_bar.rows; ++r) {
      double sum = accumulate ? At(in_bar, r, i) : 0.0;
      for (int o = range.output_begin; o < range.output_end; ++o)
        if (i < Extent(layer, o)) sum += At(weights, layer.weight, o, i) * At(out_bar, r, o);
      At(in_bar, r, i) = sum;
    }
  }
}

void PlainKernels::DenseWeightAdjoint(const DenseLayer& layer, ConstMatrix in, ConstMatrix out_bar,
                                      float sign, Arena&, Gradients gradients) const {
  for (int o = 0; o < layer.weight.rows; ++o) {
    for (int r = 0; r < in.rows; ++r) {
      const double bar = sign * At(out_bar, r, o);
      if (layer.bias.rows > 0) At(gradients, layer.bias, 0, o) += bar;
      for (int i = 0; i < Extent(layer, o); ++i)
        At(gradients, layer.weight, o, i) += bar * At(in, r, i);
    }
  }
}

void PlainKernels::Activate(Activation activation, Matrix x) const {
  ForEach(x, [&](int r, int c) { At(x, r, c) = Activated(activation, At(x, r, c)); });
}

void PlainKernels::ActivationAdjoint(Activation activation, ConstMatrix value, Matrix bar) const {
  ForEach(bar,
          [&](int r, int c) { At(bar, r, c) *= ActivationSlope(activation, At(value, r, c)); });
}

void PlainKernels::Broadcast(Slice slice, Weights weights, Matrix theta) const {
  ForEach(theta, [&](int r, int c) { At(theta, r, c) = At(weights, slice, 0, c); });
}

void PlainKernels::BroadcastAdjoint(Slice slice, ConstMatrix theta_bar, float sign,
                                    Gradients gradients) const {
  ForEach(theta_bar,
          [&](int r, int c) { At(gradients, slice, 0, c) += sign * At(theta_bar, r, c); });
}

// --- scalar bijections
// -----------------------------------------------------------------------------

// The affine bijection has its t in column 2c of theta and its a in column 2c + 1; log tails have
// none.
void PlainKernels::BijectionForward(ScalarBijection bijection, ConstMatrix theta, Matrix x,
                                    Vector log_det) const {
  const bool affine = bijection.kind == ScalarBijection::Kind::kAffine;
  ForEach(x, [&](int r, int c) {
    const auto z = !affine
                       ? LogTailsForward(At(x, r, c))
                       : AffineForward(At(x, r, c), At(theta, r, 2 * c), At(theta, r, 2 * c + 1));
    At(x, r, c) = z.value;
    log_det.data[r] += z.log_det;
  });
}

void PlainKernels::BijectionInverse(ScalarBijection bijection, ConstMatrix theta, Matrix z,
                                    Vector log_det) const {
  const bool affine = bijection.kind == ScalarBijection::Kind::kAffine;
  ForEach(z, [&](int r, int c) {
    const auto x = !affine
                       ? LogTailsInverse(At(z, r, c))
                       : AffineInverse(At(z, r, c), At(theta, r, 2 * c), At(theta, r, 2 * c + 1));
    At(z, r, c) = x.value;
    log_det.data[r] += x.log_det;
  });
}

void PlainKernels::BijectionAdjoint(ScalarBijection bijection, ConstMatrix theta, ConstMatrix x,
                                    ConstVector log_det_bar, Matrix grad, Matrix theta_bar) const {
  ForEach(x, [&](int r, int c) {
    if (bijection.kind == ScalarBijection::Kind::kLogTails) {
      At(grad, r, c) = LogTailsAdjoint(At(x, r, c), At(grad, r, c), log_det_bar.data[r]);
      return;
    }
    const auto bar =
        AffineAdjoint(At(x, r, c), At(theta, r, 2 * c + 1), At(grad, r, c), log_det_bar.data[r]);
    At(grad, r, c) = bar.x;
    At(theta_bar, r, 2 * c) = bar.t;
    At(theta_bar, r, 2 * c + 1) = bar.a;
  });
}

void PlainKernels::BijectionAdjointSolve(ScalarBijection bijection, ConstMatrix theta,
                                         ConstMatrix x, ConstVector log_det_bar, Matrix grad,
                                         Matrix theta_bar) const {
  ForEach(x, [&](int r, int c) {
    if (bijection.kind == ScalarBijection::Kind::kLogTails) {
      At(grad, r, c) = LogTailsAdjointSolve(At(x, r, c), At(grad, r, c), log_det_bar.data[r]);
      return;
    }
    const double a = At(theta, r, 2 * c + 1);
    At(grad, r, c) = AffineAdjointSolve(a, At(grad, r, c));
    const auto bar = AffineAdjoint(At(x, r, c), a, At(grad, r, c), log_det_bar.data[r]);
    At(theta_bar, r, 2 * c) = bar.t;
    At(theta_bar, r, 2 * c + 1) = bar.a;
  });
}

void PlainKernels::LogScalePenaltyAdjoint(ScalarBijection, ConstMatrix theta,
                                          ConstVector log_det_bar, double penalty,
                                          Matrix theta_bar) const {
  for (int r = 0; r < theta.rows; ++r)
    for (int c = 1; c < theta.cols; c += 2)
      At(theta_bar, r, c) +=
          millrace::LogScalePenaltyAdjoint(At(theta, r, c), log_det_bar.data[r], penalty);
}

// --- base
// ------------------------------------------------------------------------------------------

void PlainKernels::NormalLogDensity(ConstMatrix z, Vector log_p) const {
  for (int r = 0; r < z.rows; ++r)
    for (int c = 0; c < z.cols; ++c)
      log_p.data[r] -= 0.5 * (At(z, r, c) * At(z, r, c) + std::log(2 * std::numbers::pi));
}

void PlainKernels::NormalLogDensityAdjoint(ConstMatrix z, ConstVector log_p_bar,
                                           Matrix grad) const {
  ForEach(grad, [&](int r, int c) { At(grad, r, c) = -log_p_bar.data[r] * At(z, r, c); });
}

void PlainKernels::SampleNormal(std::uint64_t seed, std::uint64_t first_row, double temperature,
                                Matrix z) const {
  ForEach(z, [&](int r, int c) {
    const auto words = NormalWords(seed, first_row + r, c / 4);
    const int pair = c % 4 / 2 * 2;
    const auto normals = BoxMuller<double>(words[pair], words[pair + 1]);
    At(z, r, c) = temperature * (c % 2 == 0 ? normals.first : normals.second);
  });
}

}  // namespace millrace
