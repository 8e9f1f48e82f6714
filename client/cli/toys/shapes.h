// SPDX-License-Identifier: Apache-2.0
// Toys that are not noisy curves.
#ifndef MILLRACE_CLIENT_CLI_TOYS_SHAPES_H_
#define MILLRACE_CLIENT_CLI_TOYS_SHAPES_H_

#include <vector>

#include "client/cli/toys/toy.h"

namespace millrace::cli {

// The equal mixture of isotropic Gaussians.
class Gaussians : public Toy {
 public:
  Gaussians(std::vector<Point> centres, double noise);
  Point Sample(Random& random) const override;
  double LogDensity(Point point) const override;

 private:
  std::vector<Point> centres_;
  double noise_;
};

// Uniform on the eight black squares, two by two, of a four-by-four board on [-4, 4]^2.
class Checkerboard : public Toy {
 public:
  Point Sample(Random& random) const override;
  double LogDensity(Point point) const override;
};

// Five blades (Johnson et al., 2016): f = (1 + 0.3 n0, 0.1 n1) for n standard normal, turned by the
// angle 2 pi k / 5 + 0.25 exp(f0) for a random blade k, and scaled by 2. The density adds up every
// f that is turned onto the point, each divided by the Jacobian |1 - 0.25 f1 exp(f0)| of the
// turning.
class Pinwheel : public Toy {
 public:
  Point Sample(Random& random) const override;
  double LogDensity(Point point) const override;
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_TOYS_SHAPES_H_
