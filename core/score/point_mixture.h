// SPDX-License-Identifier: Apache-2.0
// A mixture of normals around given points: proposals that reach every mode the points have found.
#ifndef MILLRACE_CORE_SCORE_POINT_MIXTURE_H_
#define MILLRACE_CORE_SCORE_POINT_MIXTURE_H_

#include <cstddef>
#include <span>
#include <vector>

namespace millrace {

// Columns are independent around a point, with the deviation 0.7 scale in four of five draws and
// 2.5 scale in the fifth, all columns together.
class PointMixture {
 public:
  PointMixture() = default;
  // points [n, scales.size()] row after row; log_density [n], up to a constant, of the distribution
  // that the mixture is to resemble: point i gets a weight in proportion to its density there over
  // that of the mixture of equal weights. In many columns that ratio says little and a few points
  // would have all weight: the square root is taken until a quarter of them count (effective sample
  // size). A tenth of the weight is spread over all. Not finite: as improbable as can be.
  PointMixture(std::vector<double> points, std::span<const double> log_density,
               std::vector<double> scales);

  // The point where the weights up to and with its own first exceed `uniform`, in (0, 1).
  std::size_t Choose(double uniform) const;
  std::span<const double> point(std::size_t i) const {
    return {points_.data() + i * scales_.size(), scales_.size()};
  }

  // A draw, made of two uniforms and a standard normal for each column, in `out`.
  void Draw(double choice, double width, std::span<const double> normals,
            std::span<double> out) const;
  double LogDensity(std::span<const double> x) const;

 private:
  std::vector<double> points_;
  std::vector<double> scales_;
  std::vector<double> log_weights_;  // normalised
};

}  // namespace millrace

#endif  // MILLRACE_CORE_SCORE_POINT_MIXTURE_H_
