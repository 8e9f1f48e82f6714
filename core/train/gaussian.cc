// SPDX-License-Identifier: Apache-2.0
#include "core/train/gaussian.h"

#include <cmath>
#include <cstddef>

#include "core/base/cholesky.h"

namespace millrace {

Gaussian::Gaussian(RowsView<const double> rows) : mean_(rows.cols) {
  const auto dim = static_cast<std::size_t>(rows.cols);
  const auto n = static_cast<double>(rows.rows);
  for (std::int64_t r = 0; r < rows.rows; ++r)
    for (std::size_t c = 0; c < dim; ++c) mean_[c] += rows.row(r)[c] / n;
  std::vector<double> covariance(dim * dim);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    const std::span<const double> row = rows.row(r);
    for (std::size_t i = 0; i < dim; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        covariance[i * dim + j] += (row[i] - mean_[i]) * (row[j] - mean_[j]) / n;
  }
  inverse_root_ = InverseCholesky(covariance, rows.cols);
  for (std::size_t i = 0; i < dim; ++i)
    log_scale_ += std::log(inverse_root_[i * dim + i]) - 0.91893853320467274178;
}

double Gaussian::LogProb(std::span<const double> row) const {
  const std::size_t dim = mean_.size();
  double squares = 0.0;
  for (std::size_t i = 0; i < dim; ++i) {
    double z = 0.0;
    for (std::size_t j = 0; j <= i; ++j) z += inverse_root_[i * dim + j] * (row[j] - mean_[j]);
    squares += z * z;
  }
  return log_scale_ - 0.5 * squares;
}

}  // namespace millrace
