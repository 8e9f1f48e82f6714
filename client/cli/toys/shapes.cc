// SPDX-License-Identifier: Apache-2.0
#include "client/cli/toys/shapes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace millrace::cli {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

double LogAdd(double a, double b) {
  const double high = std::max(a, b);
  if (high == kMinusInfinity) return high;
  return high + std::log1p(std::exp(std::min(a, b) - high));
}

double LogNormal(double x, double mean, double deviation) {
  const double u = (x - mean) / deviation;
  return -0.5 * u * u - std::log(deviation * std::sqrt(2 * kPi));
}

}  // namespace

Gaussians::Gaussians(std::vector<Point> centres, double noise)
    : centres_(std::move(centres)), noise_(noise) {}

Point Gaussians::Sample(Random& random) const {
  Point point = centres_[random.Index(static_cast<int>(centres_.size()))];
  point.x += noise_ * random.Normal();
  point.y += noise_ * random.Normal();
  return point;
}

double Gaussians::LogDensity(Point point) const {
  double sum = kMinusInfinity;
  for (const Point& centre : centres_) {
    sum = LogAdd(sum, LogNormal(point.x, centre.x, noise_) + LogNormal(point.y, centre.y, noise_));
  }
  return sum - std::log(static_cast<double>(centres_.size()));
}

Point Checkerboard::Sample(Random& random) const {
  const int column = random.Index(4);
  const int row = 2 * random.Index(2) + column % 2;
  const double x = random.Uniform();
  const double y = random.Uniform();
  return {2 * (column + x) - 4, 2 * (row + y) - 4};
}

double Checkerboard::LogDensity(Point point) const {
  constexpr double kArea = 8 * 2 * 2;
  const double column = std::floor((point.x + 4) / 2);
  const double row = std::floor((point.y + 4) / 2);
  const bool on_board = column >= 0 && column < 4 && row >= 0 && row < 4;
  if (!on_board || std::fmod(column + row, 2) != 0) return kMinusInfinity;
  return -std::log(kArea);
}

namespace pinwheel {

constexpr int kBlades = 5;
constexpr double kRadial = 0.3;
constexpr double kTangential = 0.1;
constexpr double kRate = 0.25;
constexpr double kScale = 2;

double Angle(int blade, double f0) { return 2 * kPi * blade / kBlades + kRate * std::exp(f0); }

// f0 of the point at (radius, angle) turned back by the angle that belongs to f0, minus f0.
double Miss(int blade, double radius, double angle, double f0) {
  return radius * std::cos(angle - Angle(blade, f0)) - f0;
}

// The root of Miss between `low` and `high`, where it has different signs.
double Root(int blade, double radius, double angle, double low, double high) {
  const bool falls = Miss(blade, radius, angle, low) > 0;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    ((Miss(blade, radius, angle, middle) > 0) == falls ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// log of the density at f, with the Jacobian of the turning.
double LogDensityAt(int blade, double radius, double angle, double f0) {
  const double f1 = radius * std::sin(angle - Angle(blade, f0));
  return LogNormal(f0, 1, kRadial) + LogNormal(f1, 0, kTangential) -
         std::log(std::abs(1 - f1 * kRate * std::exp(f0)));
}

}  // namespace pinwheel

Point Pinwheel::Sample(Random& random) const {
  const int blade = random.Index(pinwheel::kBlades);
  const double f0 = 1 + pinwheel::kRadial * random.Normal();
  const double f1 = pinwheel::kTangential * random.Normal();
  const double angle = pinwheel::Angle(blade, f0);
  return {pinwheel::kScale * (f0 * std::cos(angle) - f1 * std::sin(angle)),
          pinwheel::kScale * (f0 * std::sin(angle) + f1 * std::cos(angle))};
}

double Pinwheel::LogDensity(Point point) const {
  constexpr int kSteps = 400;  // |f0 - 1| goes up to ten standard deviations of a blade
  const double radius = std::hypot(point.x, point.y) / pinwheel::kScale;
  const double angle = std::atan2(point.y, point.x);
  const double low = std::max(-radius, 1 - 10 * pinwheel::kRadial);
  const double high = std::min(radius, 1 + 10 * pinwheel::kRadial);
  const double step = (high - low) / kSteps;
  double sum = kMinusInfinity;
  if (!(step > 0)) return sum;
  for (int blade = 0; blade < pinwheel::kBlades; ++blade) {
    double before = pinwheel::Miss(blade, radius, angle, low);
    for (int i = 1; i <= kSteps; ++i) {
      const double after = pinwheel::Miss(blade, radius, angle, low + i * step);
      if ((before > 0) != (after > 0)) {
        const double f0 =
            pinwheel::Root(blade, radius, angle, low + (i - 1) * step, low + i * step);
        sum = LogAdd(sum, pinwheel::LogDensityAt(blade, radius, angle, f0));
      }
      before = after;
    }
  }
  return sum - std::log(pinwheel::kBlades) - 2 * std::log(pinwheel::kScale);
}

}  // namespace millrace::cli
