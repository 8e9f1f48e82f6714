// SPDX-License-Identifier: Apache-2.0
// Weight normalisation (Salimans, Kingma 2016): a row of weights is trained as a direction v and a
// gain g. What passes read in its place is w = g v / |v|; of v = 0 it is 0 and
// stays so.
#ifndef MILLRACE_CORE_EXEC_WEIGHT_NORM_H_
#define MILLRACE_CORE_EXEC_WEIGHT_NORM_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "core/exec/parameters.h"

namespace millrace {

// The norm of a row of weights.
template <typename T>
double NormOf(std::span<const T> row) {
  double squares = 0.0;
  for (const T v : row) squares += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(squares);
}

// Makes of parameters (layout.size()) what passes read.
template <typename T>
void NormaliseWeights(const ParameterLayout& layout, std::span<T> parameters) {
  for (const ParameterLayout::Entry& entry : layout.entries()) {
    if (!entry.gain) continue;
    for (int r = 0; r < entry.slice.rows; ++r) {
      const std::span<T> row = parameters.subspan(entry.slice.place(r, 0), entry.slice.cols);
      const double norm = NormOf<T>(row);
      const double gain = parameters[entry.gain->place(0, r)];
      for (T& v : row) v = norm == 0.0 ? T{0} : static_cast<T>(gain * (v / norm));
    }
  }
}

// The same in a copy.
inline ParameterValues NormalisedWeights(const ParameterLayout& layout,
                                         std::span<const float> parameters) {
  ParameterValues weights(parameters.size());
  std::ranges::copy(parameters, weights.data());
  NormaliseWeights(layout, weights.span());
  return weights;
}

// The adjoint: `gradient` (layout.size()) is with respect to what passes read, that of gains zero,
// and becomes the one with respect to `parameters`.
template <typename T>
void NormaliseWeightsAdjoint(const ParameterLayout& layout, std::span<const T> parameters,
                             std::span<T> gradient) {
  for (const ParameterLayout::Entry& entry : layout.entries()) {
    if (!entry.gain) continue;
    for (int r = 0; r < entry.slice.rows; ++r) {
      const auto v = parameters.subspan(entry.slice.place(r, 0), entry.slice.cols);
      const auto bar = gradient.subspan(entry.slice.place(r, 0), entry.slice.cols);
      const double norm = NormOf<T>(v);
      double gain_bar = 0.0;  // <w_bar, v> / |v|
      for (std::size_t k = 0; norm != 0.0 && k < v.size(); ++k) gain_bar += bar[k] * (v[k] / norm);
      const double scale = norm != 0.0 ? parameters[entry.gain->place(0, r)] / norm : 0.0;
      for (std::size_t k = 0; k < v.size(); ++k)
        bar[k] = norm != 0.0 ? static_cast<T>(scale * (bar[k] - gain_bar * (v[k] / norm))) : T{0};
      gradient[entry.gain->place(0, r)] = static_cast<T>(gain_bar);
    }
  }
}

}  // namespace millrace

#endif  // MILLRACE_CORE_EXEC_WEIGHT_NORM_H_
