// SPDX-License-Identifier: Apache-2.0
#include "core/base/cholesky.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/math/uniform.h"

namespace millrace {
namespace {

TEST(InverseCholeskyTest, WhitensTheCovariance) {
  for (const int n : {1, 2, 5, 40}) {
    // A A^T, A random and diagonally heavy.
    std::vector<double> a(n * n), covariance(n * n);
    for (int i = 0; i < n; ++i)
      for (int k = 0; k < n; ++k) a[i * n + k] = UniformAt(1, 1, i, k) - 0.5 + (i == k ? 2.0 : 0.0);
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j)
        for (int k = 0; k < n; ++k) covariance[i * n + j] += a[i * n + k] * a[j * n + k];
    const std::vector<double> w = InverseCholesky(covariance, n);
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) {
        double whitened = 0.0;
        for (int k = 0; k < n; ++k)
          for (int l = 0; l < n; ++l)
            whitened += w[i * n + k] * covariance[k * n + l] * w[j * n + l];
        EXPECT_NEAR(whitened, i == j ? 1.0 : 0.0, 1e-10) << n << ": " << i << " " << j;
        EXPECT_TRUE(j <= i || w[i * n + j] == 0.0);
      }
    }
  }
}

TEST(InverseCholeskyTest, ADeterminedColumnIsNotDividedByZero) {
  const std::vector<double> w = InverseCholesky(std::vector<double>{1, 1, 1, 1}, 2);
  EXPECT_NEAR(w[3], 20000.0, 1e-6);
  for (const double v : w) EXPECT_TRUE(std::isfinite(v));
}

}  // namespace
}  // namespace millrace
