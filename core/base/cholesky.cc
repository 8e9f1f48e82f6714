// SPDX-License-Identifier: Apache-2.0
#include "core/base/cholesky.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace millrace {

std::vector<double> InverseCholesky(std::span<const double> covariance, int dim) {
  constexpr double kSmallestPivot = 1.0 / (20000.0 * 20000.0);
  const auto n = static_cast<std::size_t>(dim);
  // Both loops run along rows, so that they vectorise; sums run in ascending order of k.
  std::vector<double> upper(n * n), inverse(n * n), row(n);  // upper = R^T
  for (std::size_t i = 0; i < n; ++i) {
    std::copy_n(covariance.data() + i * n, i + 1, row.data());
    for (std::size_t k = 0; k < i; ++k) {
      const double entry = row[k] / upper[k * n + k];
      upper[k * n + i] = entry;
      for (std::size_t j = k + 1; j <= i; ++j) row[j] -= entry * upper[k * n + j];
    }
    upper[i * n + i] =
        std::sqrt(std::max(row[i], kSmallestPivot * std::max(1.0, covariance[i * n + i])));
  }
  // Forward substitution.
  for (std::size_t r = 0; r < n; ++r) {
    double* const out = inverse.data() + r * n;
    out[r] = 1.0;
    for (std::size_t k = 0; k < r; ++k)
      for (std::size_t c = 0; c <= k; ++c) out[c] -= upper[k * n + r] * inverse[k * n + c];
    for (std::size_t c = 0; c <= r; ++c) out[c] /= upper[r * n + r];
  }
  return inverse;
}

}  // namespace millrace
