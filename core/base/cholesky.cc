// SPDX-License-Identifier: Apache-2.0
#include "core/base/cholesky.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace millrace {

std::vector<double> InverseCholesky(std::span<const double> covariance, int dim) {
  constexpr double kSmallestPivot = 1.0 / (900.0 * 900.0);
  const auto n = static_cast<std::size_t>(dim);
  std::vector<double> root(n * n), inverse(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = covariance[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= root[i * n + k] * root[j * n + k];
      if (j < i) {
        root[i * n + j] = sum / root[j * n + j];
      } else {
        root[i * n + i] =
            std::sqrt(std::max(sum, kSmallestPivot * std::max(1.0, covariance[i * n + i])));
      }
    }
  }
  // Forward substitution, column by column of the identity.
  for (std::size_t c = 0; c < n; ++c) {
    for (std::size_t r = c; r < n; ++r) {
      double sum = r == c ? 1.0 : 0.0;
      for (std::size_t k = c; k < r; ++k) sum -= root[r * n + k] * inverse[k * n + c];
      inverse[r * n + c] = sum / root[r * n + r];
    }
  }
  return inverse;
}

}  // namespace millrace
