// SPDX-License-Identifier: Apache-2.0
#include "client/cli/toys/curves.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace millrace::cli {
namespace {

// Nodes and weights of 10-point Gauss-Legendre quadrature on [-1, 1], the positive half.
constexpr std::array<std::pair<double, double>, 5> kGaussLegendre = {{
    {0.14887433898163122, 0.29552422471475287},
    {0.43339539412924719, 0.26926671930999636},
    {0.67940956829902441, 0.21908636251598204},
    {0.86506336668898451, 0.14945134915058059},
    {0.97390652851717172, 0.06667134430868814},
}};

double Distance(Point a, Point b) { return std::hypot(a.x - b.x, a.y - b.y); }

// An upper bound of |d at / dt|, from the longest of many chords.
double MaxSpeed(const Curve& curve) {
  constexpr int kChords = 1000;
  const double step = (curve.end - curve.begin) / kChords;
  double longest = 0;
  for (int i = 0; i < kChords; ++i) {
    const double t = curve.begin + i * step;
    longest = std::max(longest, Distance(curve.at(t), curve.at(t + step)));
  }
  return 1.05 * longest / step;
}

}  // namespace

NoisyCurves::NoisyCurves(std::vector<Curve> curves, double noise)
    : curves_(std::move(curves)), noise_(noise) {
  for (const Curve& curve : curves_) AddPanels(curve);
}

void NoisyCurves::AddPanels(const Curve& curve) {
  constexpr int kFewest = 32;  // so that a panel is straight enough however large the noise
  const double length = curve.end - curve.begin;
  const int count =
      std::max(kFewest, static_cast<int>(std::ceil(length * MaxSpeed(curve) / noise_)));
  const double half = length / count / 2;
  for (int i = 0; i < count; ++i) {
    const double middle = curve.begin + (2 * i + 1) * half;
    Panel panel{curve.at(middle), 0, {}};
    for (const auto& [node, weight] : kGaussLegendre) {
      for (const double t : {middle - node * half, middle + node * half}) {
        const double share = (t - curve.begin) / length;
        const double density = std::pow(share, 1 / curve.power - 1) / (curve.power * length);
        panel.nodes.push_back(
            {curve.at(t), weight * half * density / static_cast<double>(curves_.size())});
        panel.radius = std::max(panel.radius, Distance(panel.centre, panel.nodes.back().at));
      }
    }
    panels_.push_back(std::move(panel));
  }
}

Point NoisyCurves::Sample(Random& random) const {
  const Curve& curve = curves_[random.Index(static_cast<int>(curves_.size()))];
  const double share = std::pow(random.Uniform(), curve.power);
  Point point = curve.at(curve.begin + (curve.end - curve.begin) * share);
  point.x += noise_ * random.Normal();
  point.y += noise_ * random.Normal();
  return point;
}

double NoisyCurves::LogDensity(Point point) const {
  constexpr double kNegligible = 60;  // e^-60 beside 1
  const auto energy = [this](double distance) {
    return 0.5 * (distance / noise_) * (distance / noise_);
  };
  double nearest = std::numeric_limits<double>::infinity();
  for (const Panel& panel : panels_) {
    nearest = std::min(nearest, energy(Distance(point, panel.centre) + panel.radius));
  }
  std::vector<const Panel*> close;
  double lowest = std::numeric_limits<double>::infinity();
  for (const Panel& panel : panels_) {
    const double least = energy(std::max(0.0, Distance(point, panel.centre) - panel.radius));
    if (!(least <= nearest + kNegligible)) continue;
    close.push_back(&panel);
    for (const Node& node : panel.nodes)
      lowest = std::min(lowest, energy(Distance(point, node.at)));
  }
  if (!std::isfinite(lowest)) return -std::numeric_limits<double>::infinity();
  double sum = 0;
  for (const Panel* panel : close) {
    for (const Node& node : panel->nodes) {
      sum += node.weight * std::exp(lowest - energy(Distance(point, node.at)));
    }
  }
  return std::log(sum) - lowest - std::log(2 * std::numbers::pi * noise_ * noise_);
}

}  // namespace millrace::cli
