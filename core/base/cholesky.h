// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_BASE_CHOLESKY_H_
#define MILLRACE_CORE_BASE_CHOLESKY_H_

#include <span>
#include <vector>

namespace millrace {

// R^-1, row-major lower triangular, of the Cholesky factor of covariance = R R^T, [dim, dim]. Pivots below
// 1e-6 of their own variance are raised to it: a column that the earlier ones determine keeps a
// thousandth of its deviation instead of a division by zero. Variances of zero count as one.
std::vector<double> InverseCholesky(std::span<const double> covariance, int dim);

}  // namespace millrace

#endif  // MILLRACE_CORE_BASE_CHOLESKY_H_
