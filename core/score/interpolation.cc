// SPDX-License-Identifier: Apache-2.0
#include "core/score/interpolation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>

namespace millrace {
namespace {

// Below this angle (radians), and this far from pi, sines lose their digits.
constexpr double kSmallAngle = 1e-6;

double Dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// Unit vector and norm; scaled first, so that squares neither overflow nor vanish.
struct Polar {
  std::vector<double> direction;
  double norm = 0.0;
};

Polar ToPolar(std::span<const double> v) {
  double largest = 0.0;
  for (const double x : v) largest = std::max(largest, std::abs(x));
  Polar polar{{v.begin(), v.end()}, 0.0};
  if (largest == 0.0) return polar;
  for (double& x : polar.direction) x /= largest;
  const double norm = std::sqrt(Dot(polar.direction, polar.direction));
  for (double& x : polar.direction) x /= norm;
  polar.norm = largest * norm;
  return polar;
}

// atan2 of the lengths of u - v and u + v: exact at all angles, where acos is not.
double Angle(std::span<const double> u, std::span<const double> v) {
  double difference = 0.0;
  double sum = 0.0;
  for (std::size_t i = 0; i < u.size(); ++i) {
    difference += (u[i] - v[i]) * (u[i] - v[i]);
    sum += (u[i] + v[i]) * (u[i] + v[i]);
  }
  return 2.0 * std::atan2(std::sqrt(difference), std::sqrt(sum));
}

// The part of the axis with u's smallest component that is orthogonal to u, as a unit vector.
std::vector<double> Orthogonal(std::span<const double> u) {
  const auto least = std::min_element(u.begin(), u.end(),
                                      [](double x, double y) { return std::abs(x) < std::abs(y); });
  std::vector<double> w(u.size(), 0.0);
  w[static_cast<std::size_t>(least - u.begin())] = 1.0;
  const double along = *least;
  for (std::size_t i = 0; i < u.size(); ++i) w[i] -= along * u[i];
  return ToPolar(w).direction;
}

std::vector<double> Linear(std::span<const double> a, std::span<const double> b, double t) {
  std::vector<double> point(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) point[i] = (1.0 - t) * a[i] + t * b[i];
  return point;
}

std::vector<double> Spherical(std::span<const double> a, std::span<const double> b, double t) {
  const Polar from = ToPolar(a);
  const Polar to = ToPolar(b);
  if (a.size() < 2 || from.norm == 0.0 || to.norm == 0.0) return Linear(a, b, t);
  const double angle = Angle(from.direction, to.direction);
  if (angle < kSmallAngle) return Linear(a, b, t);
  // The unit vector orthogonal to `from` in the plane of rotation.
  std::vector<double> side(a.size());
  if (angle > std::numbers::pi - kSmallAngle) {
    side = Orthogonal(from.direction);
  } else {
    const double along = Dot(from.direction, to.direction);
    for (std::size_t i = 0; i < a.size(); ++i)
      side[i] = to.direction[i] - along * from.direction[i];
    side = ToPolar(side).direction;
  }
  const double norm = (1.0 - t) * from.norm + t * to.norm;
  std::vector<double> point(a.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    point[i] = norm * (std::cos(t * angle) * from.direction[i] + std::sin(t * angle) * side[i]);
  return point;
}

}  // namespace

std::vector<double> InterpolateLatent(InterpolationKind kind, std::span<const double> a,
                                      std::span<const double> b, double t) {
  if (t <= 0.0) return {a.begin(), a.end()};
  if (t >= 1.0) return {b.begin(), b.end()};
  return kind == InterpolationKind::kLinear ? Linear(a, b, t) : Spherical(a, b, t);
}

}  // namespace millrace
