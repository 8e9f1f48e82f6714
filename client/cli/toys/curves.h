// SPDX-License-Identifier: Apache-2.0
// Points on curves with Gaussian noise around them.
#ifndef MILLRACE_CLIENT_CLI_TOYS_CURVES_H_
#define MILLRACE_CLIENT_CLI_TOYS_CURVES_H_

#include <functional>
#include <vector>

#include "client/cli/toys/toy.h"

namespace millrace::cli {

// at(t) for t in [begin, end], where t = begin + (end - begin) * u^power for u uniform in [0, 1],
// power 1 or 1/2; its density over t is (s^(1 / power - 1)) / (power * (end - begin)), s the share
// of the way.
struct Curve {
  double begin = 0;
  double end = 1;
  double power = 1;
  std::function<Point(double)> at;
};

// The equal mixture of curves, plus isotropic Gaussian noise:
//   p(x) = mean over curves of the integral of p(t) N(x; at(t), noise^2 I) dt.
// The integral is Gauss-Legendre quadrature on panels no longer than the noise, where the integrand
// is smooth: LogDensity is exact to 1e-9 everywhere that a double reaches.
class NoisyCurves : public Toy {
 public:
  NoisyCurves(std::vector<Curve> curves, double noise);

  Point Sample(Random& random) const override;
  double LogDensity(Point point) const override;

 private:
  struct Node {
    Point at;
    double weight;  // of the quadrature, times the density over t, over the number of curves
  };
  struct Panel {
    Point centre;
    double radius;  // all its nodes lie within
    std::vector<Node> nodes;
  };
  void AddPanels(const Curve& curve);

  std::vector<Curve> curves_;
  double noise_;
  std::vector<Panel> panels_;
};

}  // namespace millrace::cli

#endif  // MILLRACE_CLIENT_CLI_TOYS_CURVES_H_
