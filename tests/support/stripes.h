// SPDX-License-Identifier: Apache-2.0
// Images made up for tests: vertical stripes of a width, a phase and a contrast of their own.
#ifndef MILLRACE_TESTS_SUPPORT_STRIPES_H_
#define MILLRACE_TESTS_SUPPORT_STRIPES_H_

#include <cmath>
#include <random>

#include "core/base/rows.h"

namespace millrace {

// Of 8 x 8 pixels, integers from 13 to 243.
inline Rows<double> Stripes(int images, int seed) {
  constexpr int kSide = 8;
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  Rows<double> rows(images, kSide * kSide);
  for (int r = 0; r < images; ++r) {
    const double width = 1.0 + 2.0 * uniform(random), phase = 6.3 * uniform(random);
    const double contrast = 30.0 + 80.0 * uniform(random);
    for (int p = 0; p < rows.cols(); ++p)
      rows(r, p) = std::round(128.0 + contrast * std::sin(p % kSide / width + phase) +
                              10.0 * (uniform(random) - 0.5));
  }
  return rows;
}

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_STRIPES_H_
