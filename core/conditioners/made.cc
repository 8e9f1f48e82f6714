// SPDX-License-Identifier: Apache-2.0
#include "core/conditioners/made.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

Made::DegreeEnds Made::EndsOf(const MadeSpec& spec) {
  DegreeEnds ends;
  // Columns 1 .. dim, as the inputs of the first layer: column k has degree k.
  std::vector<int>& columns = ends.emplace_back(spec.dim + 1);
  std::iota(columns.begin(), columns.end(), 0);
  for (const int size : spec.hidden_sizes) {
    const std::vector<int> degrees = Degrees(size, spec.dim, spec.context_dim);
    std::vector<int>& end = ends.emplace_back(spec.dim + 1);
    for (int k = 0; k <= spec.dim; ++k)
      end[k] =
          static_cast<int>(std::upper_bound(degrees.begin(), degrees.end(), k) - degrees.begin());
  }
  return ends;
}

std::vector<std::vector<int>> Made::ExtentsOf(const MadeSpec& spec, const DegreeEnds& ends) {
  std::vector<std::vector<int>> extents;
  for (std::size_t l = 0; l < spec.hidden_sizes.size(); ++l) {
    std::vector<int>& extent = extents.emplace_back();
    for (const int degree : Degrees(spec.hidden_sizes[l], spec.dim, spec.context_dim))
      extent.push_back(ends[l][degree]);
  }
  std::vector<int>& output = extents.emplace_back();
  for (int o = 0; o < spec.dim * spec.parameters; ++o)
    output.push_back(ends.back()[o / spec.parameters]);
  return extents;
}

Made::Made(const MadeSpec& spec, const std::string& prefix, ParameterLayout& layout)
    : spec_(spec),
      ends_(EndsOf(spec)),
      network_({.inputs = spec.dim,
                .context_dim = spec.context_dim,
                .outputs = theta_cols(),
                .hidden_sizes = spec.hidden_sizes,
                .residual = spec.residual,
                .activation = spec.activation},
               ExtentsOf(spec, ends_), prefix, layout) {}

Made::Sweep::Sweep(const Made& made, Pass& pass, ConstMatrix x, Matrix theta)
    : made_(made),
      pass_(pass),
      x_(x),
      theta_(theta),
      value_(made.network_.NewValues(pass, x.rows)),
      skip_(made.network_.NewSkip(pass, x.rows)) {}

void Made::Sweep::BeginGroup(int first) {
  group_ = first;
  const int dim = made_.spec_.dim;
  const int end = std::min(dim, first + kGroup);
  // What is known before the group goes into the sums of everything the group computes.
  int known = first;
  for (int l = 0; l <= made_.network_.num_hidden(); ++l) {
    const bool output = l == made_.network_.num_hidden();
    const ConstMatrix in = l == 0 ? x_ : ConstMatrix(value_[l - 1]);
    const int p = made_.spec_.parameters;
    const DenseRange range{output ? first * p : made_.UnitsBelow(l, first),
                           output ? end * p : made_.UnitsBelow(l, end), 0, known};
    made_.network_.Multiply(pass_, l, range, in, DenseStart::kBias, Activation::kIdentity,
                            output ? theta_ : value_[l]);
    if (!output) known = made_.UnitsBelow(l, first);
  }
}

void Made::Sweep::Advance(int i) {
  if (i % kGroup == 0) BeginGroup(i);
  // Units of degree i: columns 0 .. i - 1 are known.
  DenseRange range{0, 0, group_, i};
  for (int l = 0; l < made_.network_.num_hidden(); ++l) {
    range.output_begin = made_.UnitsBelow(l, i);
    range.output_end = made_.UnitsBelow(l, i + 1);
    const ConstMatrix in = l == 0 ? x_ : ConstMatrix(value_[l - 1]);
    made_.network_.Multiply(pass_, l, range, in, DenseStart::kAccumulate,
                            made_.network_.MultiplyActivation(l), value_[l]);
    made_.network_.Complete(pass_, l, range.output_begin, range.output_end, skip_, value_);
    range.input_begin = made_.UnitsBelow(l, group_);
    range.input_end = made_.UnitsBelow(l, i + 1);
  }
  range.output_begin = i * made_.spec_.parameters;
  range.output_end = range.output_begin + made_.spec_.parameters;
  const int last = made_.network_.num_hidden() - 1;
  made_.network_.Multiply(pass_, last + 1, range, value_[last], DenseStart::kAccumulate,
                          Activation::kIdentity, theta_);
}

void Made::Sweep::InvertRow(ScalarBijection bijection, Matrix z, Vector log_det) {
  const Network& network = made_.network_;
  const SweptNetwork swept{.layers = network.layers(),
                           .ends = made_.ends_,
                           .parameters = made_.spec_.parameters,
                           .residual = made_.spec_.residual,
                           .activation = made_.spec_.activation};
  for (int first = 0; first < z.cols; first += kGroup) {
    BeginGroup(first);
    pass_.kernels.SweepRow(swept, {value_, skip_, theta_}, bijection, pass_.weights, first,
                           std::min(z.cols, first + kGroup), pass_.arena, z, log_det);
  }
}

void Made::Sweep::Finish() { made_.network_.PushHidden(pass_, value_); }

Made::ReverseSweep::ReverseSweep(const Made& made, Pass& pass, ConstMatrix theta_bar, Matrix x_bar)
    : made_(made),
      pass_(pass),
      theta_bar_(theta_bar),
      x_bar_(x_bar),
      value_(made.network_.PopHidden(pass)),
      bar_(made.network_.NewHidden(pass, x_bar.rows)) {}

void Made::ReverseSweep::Advance(int i) {
  const int degree = i + 1;
  if (degree >= made_.spec_.dim) return;  // no unit uses the last column
  for (int l = made_.network_.num_hidden(); l-- > 0;)
    made_.network_.UnitAdjoints(pass_, l, made_.UnitsBelow(l, degree),
                                made_.UnitsBelow(l, degree + 1), theta_bar_, value_, bar_);
  made_.network_.InputAdjoints(pass_, i, i + 1, bar_, x_bar_);
}

void Made::ReverseSweep::Finish(ConstMatrix x, float sign) {
  for (int l = made_.network_.num_hidden(); l-- > 0;)
    made_.network_.UnitAdjoints(pass_, l, 0, made_.UnitsBelow(l, 1), theta_bar_, value_, bar_);
  made_.network_.ParameterAdjoints(pass_, x, theta_bar_, value_, bar_, sign);
}

}  // namespace millrace
