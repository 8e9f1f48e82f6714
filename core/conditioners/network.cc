// SPDX-License-Identifier: Apache-2.0
#include "core/conditioners/network.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/check.h"
#include "core/math/uniform.h"

namespace millrace {

Network::Network(const NetworkSpec& spec, std::vector<std::vector<int>> extents,
                 const std::string& prefix, ParameterLayout& layout)
    : spec_(spec), extents_(std::move(extents)) {
  MILLRACE_CHECK(num_hidden() >= 1 && num_hidden() <= NetworkSpec::kMaxHiddenLayers);
  MILLRACE_CHECK(!spec.residual || num_hidden() % 2 == 1);
  int inputs = spec.inputs;
  for (int l = 0; l <= num_hidden(); ++l) {
    const bool output = l == num_hidden();
    const int units = output ? spec.outputs : spec.hidden_sizes[l];
    const std::string name = output ? prefix + "output" : prefix + "hidden." + std::to_string(l);
    DenseLayer& layer = layers_.emplace_back();
    layer.weight = layout.Add(name + ".weight", units, inputs, true);
    layer.bias = layout.Add(name + ".bias", 1, units, false);
    if (!extents_.empty()) layer.extent = extents_[l];
    inputs = units;
  }
  if (spec.context_dim > 0) {
    context_.weight =
        layout.Add(prefix + "context.weight", spec.hidden_sizes[0], spec.context_dim, true);
    context_.bias = layers_[0].bias;
  }
}

Network::Hidden Network::NewHidden(Pass& pass, int rows) const {
  Hidden hidden = {};
  for (int l = 0; l < num_hidden(); ++l)
    hidden[l] = pass.arena.NewMatrix(rows, spec_.hidden_sizes[l]);
  return hidden;
}

Network::Hidden Network::NewValues(Pass& pass, int rows) const {
  Hidden values = {};
  for (int l = 0; l < num_hidden(); ++l) values[l] = NewRows(pass, rows, spec_.hidden_sizes[l]);
  return values;
}

Matrix Network::NewSkip(Pass& pass, int rows) const {
  return spec_.residual ? NewRows(pass, rows, spec_.hidden_sizes[0]) : Matrix();
}

void Network::PushHidden(Pass& pass, const Hidden& value) const {
  if (pass.tape == nullptr) return;
  for (int l = 0; l < num_hidden(); ++l) pass.tape->Push(value[l]);
}

Network::Hidden Network::PopHidden(Pass& pass) const {
  Hidden value = {};
  for (int l = num_hidden(); l-- > 0;) {
    const ConstMatrix m = pass.tape->Pop();
    value[l] = {const_cast<void*>(m.buffer), m.offset, m.rows, m.cols, m.stride};
  }
  return value;
}

void Network::Multiply(Pass& pass, int l, DenseRange range, const ConstMatrix& in, DenseStart start,
                       Activation activation, const Matrix& out) const {
  if (l == 0 && start == DenseStart::kBias && spec_.context_dim > 0) {
    const DenseRange context{range.output_begin, range.output_end, 0, spec_.context_dim};
    pass.kernels.Dense(context_, context, pass.weights, pass.context, DenseStart::kBias,
                       Activation::kIdentity, out);
    start = DenseStart::kAccumulate;
  }
  pass.kernels.Dense(layers_[l], range, pass.weights, in, start, activation, out);
}

void Network::Complete(Pass& pass, int l, int begin, int end, const Matrix& skip,
                       const Hidden& value) const {
  if (!IsBlockEnd(l)) return;
  const Matrix units = value[l].Columns(begin, end - begin);
  const Matrix h = skip.Columns(begin, end - begin);
  if (l > 0) pass.kernels.Add(h, units);
  pass.kernels.Copy(units, h);
  pass.kernels.Activate(spec_.activation, units);
}

void Network::Forward(Pass& pass, const ConstMatrix& x, const Matrix& theta) const {
  const Hidden value = NewValues(pass, x.rows);
  const Matrix skip = NewSkip(pass, x.rows);
  ConstMatrix in = x;
  for (int l = 0; l < num_hidden(); ++l) {
    Multiply(pass, l, {0, value[l].cols, 0, in.cols}, in, DenseStart::kBias, MultiplyActivation(l),
             value[l]);
    Complete(pass, l, 0, value[l].cols, skip, value);
    in = value[l];
  }
  Multiply(pass, num_hidden(), {0, theta.cols, 0, in.cols}, in, DenseStart::kBias,
           Activation::kIdentity, theta);
  PushHidden(pass, value);
}

void Network::UnitAdjoints(Pass& pass, int l, int begin, int end, const ConstMatrix& theta_bar,
                           const Hidden& value, const Hidden& bar) const {
  const ConstMatrix next = l + 1 == num_hidden() ? theta_bar : ConstMatrix(bar[l + 1]);
  // Of the adjoints above, a masked layer's staircase leaves out those of units that do not use
  // these.
  pass.kernels.DenseInputAdjoint(layers_[l + 1], {0, next.cols, begin, end}, pass.weights, next,
                                 /*accumulate=*/false, bar[l]);
  const Matrix units = bar[l].Columns(begin, end - begin);
  pass.kernels.ActivationAdjoint(spec_.activation, value[l].Columns(begin, end - begin), units);
  if (IsBlockEnd(l) && l + 2 < num_hidden())
    pass.kernels.Add(bar[l + 2].Columns(begin, end - begin), units);
}

void Network::InputAdjoints(Pass& pass, int begin, int end, const Hidden& bar,
                            const Matrix& x_bar) const {
  pass.kernels.DenseInputAdjoint(layers_[0], {0, bar[0].cols, begin, end}, pass.weights, bar[0],
                                 /*accumulate=*/true, x_bar);
}

void Network::ParameterAdjoints(Pass& pass, const ConstMatrix& x, const ConstMatrix& theta_bar,
                                const Hidden& value, const Hidden& bar, float sign) const {
  if (!pass.gradients.empty()) {
    for (int l = 0; l <= num_hidden(); ++l) {
      const ConstMatrix in = l == 0 ? x : ConstMatrix(value[l - 1]);
      const ConstMatrix out_bar = l == num_hidden() ? theta_bar : ConstMatrix(bar[l]);
      pass.kernels.DenseWeightAdjoint(layers_[l], in, out_bar, sign, pass.arena, pass.gradients);
    }
  }
  if (spec_.context_dim == 0) return;
  DenseLayer context = context_;
  context.bias = {};  // its gradient is the first layer's
  if (!pass.gradients.empty())
    pass.kernels.DenseWeightAdjoint(context, pass.context, bar[0], sign, pass.arena,
                                    pass.gradients);
  if (pass.context_bar.empty()) return;
  const Arena::Scope scope(pass.arena);
  const Matrix context_bar = pass.arena.NewMatrix(x.rows, spec_.context_dim);
  pass.kernels.DenseInputAdjoint(context, {0, bar[0].cols, 0, spec_.context_dim}, pass.weights,
                                 bar[0], /*accumulate=*/false, context_bar);
  if (sign < 0) pass.kernels.Negate(context_bar);
  pass.kernels.Add(context_bar, pass.context_bar);
}

void Network::Backward(Pass& pass, const ConstMatrix& x, const ConstMatrix& theta_bar, float sign,
                       const Matrix& x_bar) const {
  const Arena::Scope scope(pass.arena);
  const Hidden value = PopHidden(pass);
  const Hidden bar = NewHidden(pass, x.rows);
  for (int l = num_hidden(); l-- > 0;) UnitAdjoints(pass, l, 0, bar[l].cols, theta_bar, value, bar);
  InputAdjoints(pass, 0, spec_.inputs, bar, x_bar);
  ParameterAdjoints(pass, x, theta_bar, value, bar, sign);
}

void Network::Initialise(std::uint64_t seed, std::span<float> parameters) const {
  std::uint32_t stream = 0;
  const auto fill = [&](const DenseLayer& layer, double bound_of_dense) {
    ++stream;
    for (int o = 0; o < layer.weight.rows; ++o) {
      const int inputs = layer.extent.empty() ? layer.weight.cols : layer.extent[o];
      // As wide as the inputs it has, not as those a mask took (LeCun et al. 1998).
      const double bound =
          bound_of_dense > 0.0 ? bound_of_dense : 1.0 / std::sqrt(std::max(1, inputs));
      for (int i = 0; i < inputs; ++i)
        parameters[layer.weight.offset + static_cast<std::size_t>(o) * layer.weight.ld + i] =
            static_cast<float>(bound * (2.0 * UniformAt(seed, stream, o, i) - 1.0));
    }
  };
  for (int l = 0; l < num_hidden(); ++l) fill(layers_[l], IsBlockEnd(l) && l > 0 ? 1e-3 : 0.0);
  if (spec_.context_dim > 0) fill(context_, 0.0);
}

}  // namespace millrace
