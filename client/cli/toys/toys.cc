// SPDX-License-Identifier: Apache-2.0
// The catalogue: names, geometry, noise.
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"
#include "client/cli/toys/curves.h"
#include "client/cli/toys/shapes.h"
#include "client/cli/toys/toy.h"

namespace millrace::cli {
namespace {

constexpr double kPi = std::numbers::pi;

Curve Circle(double radius) {
  return {0, 2 * kPi, 1, [radius](double t) {
            return Point{radius * std::cos(t), radius * std::sin(t)};
          }};
}

// The half circles of scikit-learn's make_moons.
std::vector<Curve> Moons() {
  return {{0, kPi, 1,
           [](double t) {
             return Point{std::cos(t), std::sin(t)};
           }},
          {0, kPi, 1, [](double t) {
             return Point{1 - std::cos(t), 0.5 - std::sin(t)};
           }}};
}

// x and z of scikit-learn's make_swiss_roll, divided by 5.
std::vector<Curve> SwissRoll() {
  return {{1.5 * kPi, 4.5 * kPi, 1, [](double t) {
             return Point{t * std::cos(t) / 5, t * std::sin(t) / 5};
           }}};
}

// One and a half turns each, equally dense along the way but near the middle.
std::vector<Curve> Spirals() {
  const auto arm = [](double sign) {
    return Curve{0, 3 * kPi, 0.5, [sign](double t) {
                   return Point{-sign * t * std::cos(t) / 3, sign * t * std::sin(t) / 3};
                 }};
  };
  return {arm(1), arm(-1)};
}

std::vector<Point> OnCircle(int count, double radius) {
  std::vector<Point> points;
  for (int i = 0; i < count; ++i) {
    const double angle = 2 * kPi * i / count;
    points.push_back({radius * std::cos(angle), radius * std::sin(angle)});
  }
  return points;
}

std::unique_ptr<Toy> Build(const std::string& name, double noise) {
  const auto curves = [noise](std::vector<Curve> all) {
    return std::make_unique<NoisyCurves>(std::move(all), noise);
  };
  if (name == "checkerboard") return std::make_unique<Checkerboard>();
  if (name == "circles") return curves({Circle(1), Circle(0.5)});
  if (name == "eight-gaussians")
    return std::make_unique<Gaussians>(OnCircle(8, std::sqrt(8.0)), noise);
  if (name == "pinwheel") return std::make_unique<Pinwheel>();
  if (name == "rings") return curves({Circle(0.75), Circle(1.5), Circle(2.25), Circle(3)});
  if (name == "swiss-roll") return curves(SwissRoll());
  if (name == "two-moons") return curves(Moons());
  return curves(Spirals());
}

}  // namespace

const std::vector<ToyInfo>& AllToys() {
  static const auto* const toys = new std::vector<ToyInfo>{
      {"checkerboard", "eight squares of a four by four board on [-4, 4]^2", std::nullopt},
      {"circles", "circles of radius 1 and 1/2", 0.08},
      {"eight-gaussians", "eight Gaussians on a circle of radius 2.83", 0.35},
      {"pinwheel", "five bent blades", std::nullopt},
      {"rings", "circles of radius 0.75, 1.5, 2.25 and 3", 0.08},
      {"swiss-roll", "one and a half turns of a spiral", 0.2},
      {"two-moons", "two half circles that reach into one another", 0.1},
      {"two-spirals", "two arms of one and a half turns each", 0.1},
  };
  return *toys;
}

absl::StatusOr<std::unique_ptr<Toy>> MakeToy(const std::string& name, std::optional<double> noise) {
  for (const ToyInfo& info : AllToys()) {
    if (info.name != name) continue;
    if (noise && !info.noise)
      return absl::InvalidArgumentError(absl::StrCat(name, " has no noise"));
    if (noise && !(*noise >= 0.01 && *noise <= 10)) {
      return absl::InvalidArgumentError(absl::StrCat("noise is ", *noise, ", not in [0.01, 10]"));
    }
    return Build(name, noise.value_or(info.noise.value_or(0)));
  }
  return absl::NotFoundError(absl::StrCat("no toy named '", name, "'"));
}

}  // namespace millrace::cli
