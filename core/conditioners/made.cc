// SPDX-License-Identifier: Apache-2.0
#include "core/conditioners/made.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace millrace {
namespace {

// Columns handled together in a sweep: what earlier columns contribute to a whole group is one wide
// product, and only what the group contributes to itself is left to the kernels' sweep.
constexpr int kGroup = 64;

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

// What is known before the group goes into the sums of everything that it computes.
void Made::BeginGroup(Pass& pass, int first, int end, const ConstMatrix& x,
                      const Network::Hidden& value, const Matrix& theta) const {
  const SweptNetwork swept = Swept();
  int known = first;
  for (int l = 0; l <= swept.hidden(); ++l) {
    if (!swept.StartsAtBias(l, first))
      network_.Multiply(pass, l, {swept.UnitsBelow(l, first), swept.UnitsBelow(l, end), 0, known},
                        l == 0 ? x : ConstMatrix(value[l - 1]), DenseStart::kBias,
                        Activation::kIdentity, l == swept.hidden() ? theta : value[l]);
    known = swept.UnitsBelow(l, first);
  }
}

void Made::Invert(Pass& pass, ScalarBijection bijection, const Matrix& z, const Matrix& theta,
                  Vector log_det) const {
  const Network::Hidden value = network_.NewValues(pass, z.rows);
  const SweptUnits units{.value = value, .skip = network_.NewSkip(pass, z.rows), .theta = theta};
  for (int first = 0; first < z.cols; first += kGroup) {
    const int end = std::min(z.cols, first + kGroup);
    BeginGroup(pass, first, end, z, value, theta);
    pass.kernels.SweepColumns(Swept(), units, bijection, pass.weights, first, end, pass.arena, z,
                              log_det, pass.column_log_det);
  }
  network_.PushHidden(pass, value);
}

Made::ReverseSweep::ReverseSweep(const Made& made, Pass& pass, const ConstMatrix& theta_bar,
                                 const Matrix& x_bar)
    : made_(made),
      pass_(pass),
      theta_bar_(theta_bar),
      x_bar_(x_bar),
      value_(made.network_.PopHidden(pass)),
      bar_(made.network_.NewHidden(pass, x_bar.rows)) {}

void Made::ReverseSweep::Advance(int i) {
  const int degree = i + 1;
  const SweptNetwork swept = made_.Swept();
  if (degree >= made_.spec_.dim) return;  // no unit uses the last column
  for (int l = made_.network_.num_hidden(); l-- > 0;)
    made_.network_.UnitAdjoints(pass_, l, swept.UnitsBelow(l, degree),
                                swept.UnitsBelow(l, degree + 1), theta_bar_, value_, bar_);
  made_.network_.InputAdjoints(pass_, i, i + 1, bar_, x_bar_);
}

void Made::ReverseSweep::Finish(const ConstMatrix& x, float sign) {
  const SweptNetwork swept = made_.Swept();
  for (int l = made_.network_.num_hidden(); l-- > 0;)
    made_.network_.UnitAdjoints(pass_, l, 0, swept.UnitsBelow(l, 1), theta_bar_, value_, bar_);
  made_.network_.ParameterAdjoints(pass_, x, theta_bar_, value_, bar_, sign);
}

}  // namespace millrace
