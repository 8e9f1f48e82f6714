// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_BASE_CHOLESKY_H_
#define MILLRACE_CORE_BASE_CHOLESKY_H_

#include <span>
#include <vector>

namespace millrace {

// R^-1, row-major lower triangular, of the Cholesky factor of covariance = R R^T, [dim, dim], of
// columns in standardised units. No diagonal entry of R is below 1/20000, nor below that share of
// its column's deviation where that is above 1: a column that the earlier ones determine is not
// divided by zero, and scales (up to 20000) stay within what floats and linear layers hold
// (kLogDiagonalBound).
std::vector<double> InverseCholesky(std::span<const double> covariance, int dim);

}  // namespace millrace

#endif  // MILLRACE_CORE_BASE_CHOLESKY_H_
