// SPDX-License-Identifier: Apache-2.0
#include "core/conditioners/made.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"
#include "core/math/uniform.h"

namespace millrace {
namespace {

// Columns handled together in a sweep: what earlier columns contribute to a whole group is one wide
// product, and only what the group contributes to itself is done column by column.
constexpr int kGroup = 16;

}  // namespace

std::vector<int> Made::Degrees(int hidden, int dim, int context_dim) {
  const int lowest = context_dim > 0 || dim == 1 ? 0 : 1;
  const int highest = dim - 1;
  std::vector<int> degrees(hidden);
  for (int j = 0; j < hidden; ++j) {
    // A single unit takes the highest degree: it may use every column that is ever used.
    const double position = hidden == 1 ? 1.0 : static_cast<double>(j) / (hidden - 1);
    degrees[j] = lowest + static_cast<int>(std::lround(position * (highest - lowest)));
  }
  return degrees;
}

Made::Made(const MadeSpec& spec, const std::string& prefix, ParameterLayout& layout) : spec_(spec) {
  MILLRACE_CHECK(num_hidden() >= 1 && num_hidden() <= MadeSpec::kMaxHiddenLayers);
  MILLRACE_CHECK(!spec.residual || num_hidden() % 2 == 1);
  const auto ends = [&](const std::vector<int>& degrees) {
    std::vector<int> end(spec.dim + 1);
    for (int k = 0; k <= spec.dim; ++k)
      end[k] =
          static_cast<int>(std::upper_bound(degrees.begin(), degrees.end(), k) - degrees.begin());
    return end;
  };
  // Columns 1 .. dim, as the inputs of the first layer: column k has degree k.
  std::vector<int> below(spec.dim + 1);
  for (int k = 0; k <= spec.dim; ++k) below[k] = k;
  int inputs = spec.dim;
  for (int l = 0; l <= num_hidden(); ++l) {
    Layer layer;
    const bool output = l == num_hidden();
    const int units = output ? theta_cols() : spec.hidden_sizes[l];
    const std::vector<int> degrees =
        output ? std::vector<int>() : Degrees(units, spec.dim, spec.context_dim);
    for (int o = 0; o < units; ++o)
      layer.extent.push_back(below[output ? o / spec.parameters : degrees[o]]);
    const std::string name = output ? prefix + "output" : prefix + "hidden." + std::to_string(l);
    layer.dense.weight = layout.Add(name + ".weight", units, inputs, true);
    layer.dense.bias = layout.Add(name + ".bias", 1, units, false);
    if (!output) layer.degree_end = below = ends(degrees);
    inputs = units;
    layers_.push_back(std::move(layer));
  }
  for (Layer& layer : layers_) layer.dense.extent = layer.extent;
  if (spec.context_dim > 0) {
    context_.weight =
        layout.Add(prefix + "context.weight", spec.hidden_sizes[0], spec.context_dim, true);
    context_.bias = layers_[0].dense.bias;
  }
}

Made::Hidden Made::NewHidden(Pass& pass, int rows) const {
  Hidden hidden = {};
  for (int l = 0; l < num_hidden(); ++l)
    hidden[l] = pass.arena.NewMatrix(rows, spec_.hidden_sizes[l]);
  return hidden;
}

void Made::PushHidden(Pass& pass, const Hidden& value) const {
  if (pass.tape == nullptr) return;
  for (int l = 0; l < num_hidden(); ++l) pass.tape->Push(value[l]);
}

Made::Hidden Made::PopHidden(Pass& pass) const {
  Hidden value = {};
  for (int l = num_hidden(); l-- > 0;) {
    const ConstMatrix m = pass.tape->Pop();
    value[l] = {const_cast<void*>(m.buffer), m.offset, m.rows, m.cols, m.stride};
  }
  return value;
}

void Made::Multiply(Pass& pass, int l, DenseRange range, ConstMatrix in, DenseStart start,
                    Activation activation, Matrix out) const {
  if (l == 0 && start == DenseStart::kBias && spec_.context_dim > 0) {
    const DenseRange context{range.output_begin, range.output_end, 0, spec_.context_dim};
    pass.kernels.Dense(context_, context, pass.weights, pass.context, DenseStart::kBias,
                       Activation::kIdentity, out);
    start = DenseStart::kAccumulate;
  }
  pass.kernels.Dense(layers_[l].dense, range, pass.weights, in, start, activation, out);
}

void Made::Complete(Pass& pass, int l, int begin, int end, Matrix skip, const Hidden& value) const {
  const Matrix units = value[l].Columns(begin, end - begin);
  if (IsBlockEnd(l)) {
    const Matrix h = skip.Columns(begin, end - begin);
    if (l > 0) pass.kernels.Add(h, units);
    pass.kernels.Copy(units, h);
  }
  pass.kernels.Activate(spec_.activation, units);
}

void Made::Forward(Pass& pass, ConstMatrix x, Matrix theta) const {
  const Hidden value = NewHidden(pass, x.rows);
  const Matrix skip =
      spec_.residual ? pass.arena.NewMatrix(x.rows, spec_.hidden_sizes[0]) : Matrix();
  ConstMatrix in = x;
  for (int l = 0; l < num_hidden(); ++l) {
    const DenseRange all{0, value[l].cols, 0, in.cols};
    const bool block_end = IsBlockEnd(l);
    Multiply(pass, l, all, in, DenseStart::kBias,
             block_end ? Activation::kIdentity : spec_.activation, value[l]);
    if (block_end) Complete(pass, l, 0, value[l].cols, skip, value);
    in = value[l];
  }
  Multiply(pass, num_hidden(), {0, theta.cols, 0, in.cols}, in, DenseStart::kBias,
           Activation::kIdentity, theta);
  PushHidden(pass, value);
}

void Made::UnitAdjoints(Pass& pass, int l, int begin, int end, ConstMatrix theta_bar,
                        const Hidden& value, const Hidden& bar) const {
  const bool last = l + 1 == num_hidden();
  const ConstMatrix next = last ? theta_bar : ConstMatrix(bar[l + 1]);
  // Of the adjoints above, those of lower degree do not depend on these units and may not be known
  // yet: the staircase leaves them out.
  pass.kernels.DenseInputAdjoint(layers_[l + 1].dense, {0, next.cols, begin, end}, pass.weights,
                                 next,
                                 /*accumulate=*/false, bar[l]);
  const Matrix units = bar[l].Columns(begin, end - begin);
  pass.kernels.ActivationAdjoint(spec_.activation, value[l].Columns(begin, end - begin), units);
  if (IsBlockEnd(l) && l + 2 < num_hidden())
    pass.kernels.Add(bar[l + 2].Columns(begin, end - begin), units);
}

void Made::ParameterAdjoints(Pass& pass, ConstMatrix x, ConstMatrix theta_bar, const Hidden& value,
                             const Hidden& bar, float sign) const {
  if (!pass.gradients.empty()) {
    for (int l = 0; l <= num_hidden(); ++l) {
      const ConstMatrix in = l == 0 ? x : ConstMatrix(value[l - 1]);
      const ConstMatrix out_bar = l == num_hidden() ? theta_bar : ConstMatrix(bar[l]);
      pass.kernels.DenseWeightAdjoint(layers_[l].dense, in, out_bar, sign, pass.arena,
                                      pass.gradients);
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
                                 bar[0],
                                 /*accumulate=*/false, context_bar);
  if (sign < 0) pass.kernels.Negate(context_bar);
  pass.kernels.Add(context_bar, pass.context_bar);
}

void Made::Backward(Pass& pass, ConstMatrix x, ConstMatrix theta_bar, float sign,
                    Matrix x_bar) const {
  const Arena::Scope scope(pass.arena);
  const Hidden value = PopHidden(pass);
  const Hidden bar = NewHidden(pass, x.rows);
  for (int l = num_hidden(); l-- > 0;) UnitAdjoints(pass, l, 0, bar[l].cols, theta_bar, value, bar);
  pass.kernels.DenseInputAdjoint(layers_[0].dense, {0, bar[0].cols, 0, spec_.dim}, pass.weights,
                                 bar[0],
                                 /*accumulate=*/true, x_bar);
  ParameterAdjoints(pass, x, theta_bar, value, bar, sign);
}

Made::Sweep::Sweep(const Made& made, Pass& pass, ConstMatrix x, Matrix theta)
    : made_(made), pass_(pass), x_(x), theta_(theta), value_(made.NewHidden(pass, x.rows)) {
  if (made.spec_.residual) skip_ = pass.arena.NewMatrix(x.rows, made.spec_.hidden_sizes[0]);
}

void Made::Sweep::BeginGroup(int first) {
  group_ = first;
  const int dim = made_.spec_.dim;
  const int end = std::min(dim, first + kGroup);
  // What is known before the group goes into the sums of everything the group computes.
  int known = first;
  for (int l = 0; l <= made_.num_hidden(); ++l) {
    const bool output = l == made_.num_hidden();
    const ConstMatrix in = l == 0 ? x_ : ConstMatrix(value_[l - 1]);
    const int p = made_.spec_.parameters;
    const DenseRange range{output ? first * p : made_.UnitsBelow(l, first),
                           output ? end * p : made_.UnitsBelow(l, end), 0, known};
    made_.Multiply(pass_, l, range, in, DenseStart::kBias, Activation::kIdentity,
                   output ? theta_ : value_[l]);
    if (!output) known = made_.UnitsBelow(l, first);
  }
}

void Made::Sweep::Advance(int i) {
  if (i % kGroup == 0) BeginGroup(i);
  // Units of degree i: columns 0 .. i - 1 are known.
  DenseRange range{0, 0, group_, i};
  for (int l = 0; l < made_.num_hidden(); ++l) {
    range.output_begin = made_.UnitsBelow(l, i);
    range.output_end = made_.UnitsBelow(l, i + 1);
    const ConstMatrix in = l == 0 ? x_ : ConstMatrix(value_[l - 1]);
    const bool block_end = made_.IsBlockEnd(l);
    made_.Multiply(pass_, l, range, in, DenseStart::kAccumulate,
                   block_end ? Activation::kIdentity : made_.spec_.activation, value_[l]);
    if (block_end) made_.Complete(pass_, l, range.output_begin, range.output_end, skip_, value_);
    range.input_begin = made_.UnitsBelow(l, group_);
    range.input_end = made_.UnitsBelow(l, i + 1);
  }
  range.output_begin = i * made_.spec_.parameters;
  range.output_end = range.output_begin + made_.spec_.parameters;
  const int last = made_.num_hidden() - 1;
  made_.Multiply(pass_, last + 1, range, value_[last], DenseStart::kAccumulate,
                 Activation::kIdentity, theta_);
}

void Made::Sweep::Finish() { made_.PushHidden(pass_, value_); }

Made::ReverseSweep::ReverseSweep(const Made& made, Pass& pass, ConstMatrix theta_bar, Matrix x_bar)
    : made_(made),
      pass_(pass),
      theta_bar_(theta_bar),
      x_bar_(x_bar),
      value_(made.PopHidden(pass)),
      bar_(made.NewHidden(pass, x_bar.rows)) {}

void Made::ReverseSweep::Advance(int i) {
  const int degree = i + 1;
  if (degree >= made_.spec_.dim) return;  // no unit uses the last column
  for (int l = made_.num_hidden(); l-- > 0;)
    made_.UnitAdjoints(pass_, l, made_.UnitsBelow(l, degree), made_.UnitsBelow(l, degree + 1),
                       theta_bar_, value_, bar_);
  pass_.kernels.DenseInputAdjoint(made_.layers_[0].dense, {0, bar_[0].cols, i, i + 1},
                                  pass_.weights, bar_[0], /*accumulate=*/true, x_bar_);
}

void Made::ReverseSweep::Finish(ConstMatrix x, float sign) {
  for (int l = made_.num_hidden(); l-- > 0;)
    made_.UnitAdjoints(pass_, l, 0, made_.UnitsBelow(l, 1), theta_bar_, value_, bar_);
  made_.ParameterAdjoints(pass_, x, theta_bar_, value_, bar_, sign);
}

void Made::Initialise(std::uint64_t seed, std::span<float> parameters) const {
  std::uint32_t stream = 0;
  const auto fill = [&](const DenseLayer& layer, double bound_of_dense) {
    ++stream;
    for (int o = 0; o < layer.weight.rows; ++o) {
      const int inputs = layer.extent.empty() ? layer.weight.cols : layer.extent[o];
      // As wide as the inputs it has, not as those the mask took (LeCun et al. 1998).
      const double bound =
          bound_of_dense > 0.0 ? bound_of_dense : 1.0 / std::sqrt(std::max(1, inputs));
      for (int i = 0; i < inputs; ++i)
        parameters[layer.weight.offset + static_cast<std::size_t>(o) * layer.weight.ld + i] =
            static_cast<float>(bound * (2.0 * UniformAt(seed, stream, o, i) - 1.0));
    }
  };
  // Blocks start near the identity, the output at zero: the whole transform starts as the identity.
  for (int l = 0; l < num_hidden(); ++l)
    fill(layers_[l].dense, IsBlockEnd(l) && l > 0 ? 1e-3 : 0.0);
  if (spec_.context_dim > 0) {
    DenseLayer context = context_;
    fill(context, 0.0);
  }
}

}  // namespace millrace
