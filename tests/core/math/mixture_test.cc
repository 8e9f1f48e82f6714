// SPDX-License-Identifier: Apache-2.0
#include "core/math/mixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "core/cpu/pack.h"
#include "tests/support/dual.h"

namespace millrace {
namespace {

// What the formulas make of theta, written down again for comparison.
struct Component {
  double weight, mean, scale;
};

std::vector<Component> ComponentsOf(const std::vector<double>& theta) {
  const int k_count = static_cast<int>(theta.size() / 3);
  const double spread = 1.5;
  const double scale =
      std::sqrt(1 - spread * spread * (1 - 1.0 / (k_count * k_count)) / 3);  // variance 1
  std::vector<Component> components;
  double sum = 0.0;
  for (int k = 0; k < k_count; ++k) {
    const double logit = theta[k] / (1 + std::fabs(theta[k]) / 30);
    const double a = theta[2 * k_count + k];
    components.push_back({std::exp(logit),
                          theta[k_count + k] + spread * ((2 * k + 1.0) / k_count - 1),
                          scale * std::exp(a / (1 + std::fabs(a) / std::log(1000.0)))});
    sum += components.back().weight;
  }
  for (Component& c : components) c.weight /= sum;
  return components;
}

double Density(const std::vector<Component>& components, double x) {
  double density = 0.0;
  for (const auto& [weight, mean, scale] : components)
    density += weight / scale * std::exp(-0.5 * std::pow((x - mean) / scale, 2)) /
               std::sqrt(2 * std::numbers::pi);
  return density;
}

// P(X <= x), or P(X > x) with side = -1.
double Cdf(const std::vector<Component>& components, double x, double side) {
  double cdf = 0.0;
  for (const auto& [weight, mean, scale] : components)
    cdf += weight * 0.5 * std::erfc(-side * (x - mean) / scale / std::numbers::sqrt2);
  return cdf;
}

struct Case {
  NormalMixture mixture;
  std::vector<double> theta;
  double x, z_bar, log_det_bar;
};

// From the start of training to separated narrow components; the numbers are floats.
std::vector<Case> Cases() {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  const auto draw = [&](double scale) {
    return static_cast<double>(static_cast<float>(scale * normal(random)));
  };
  std::vector<Case> cases;
  for (const double scale : {0.0, 0.3, 1.0, 3.0, 10.0, 100.0}) {
    for (const int components : {1, 2, 3, 10, 32}) {
      for (int i = 0; i < 40; ++i) {
        Case c{{components}, {}, draw(1 + scale), draw(1), draw(1)};
        for (int k = 0; k < 3 * components; ++k)
          c.theta.push_back(draw(k < 2 * components ? scale : std::min(scale, 2.0)));
        cases.push_back(std::move(c));
      }
    }
  }
  return cases;
}

std::vector<Dual> Duals(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

std::vector<Pack> Packs(const std::vector<double>& values) {
  std::vector<Pack> packs;
  for (const double v : values) packs.emplace_back(static_cast<float>(v));
  return packs;
}

TEST(NormalMixtureTest, StartsNearTheStandardNormal) {
  const std::vector<double> one(3, 0.0);
  EXPECT_NEAR(NormalMixture{1}.Forward(1.7, one.data()).value, 1.7, 1e-15);
  for (const int components : {2, 3, 10, 32}) {
    const std::vector<double> zeros(3 * components, 0.0);
    double divergence = 0.0;
    for (double x = -7; x <= 7; x += 0.01) {
      const auto z = NormalMixture{components}.Forward(x, zeros.data());
      divergence += 0.01 * std::exp(-0.5 * x * x - kHalfLogTwoPi) *
                    (0.5 * z.value * z.value - 0.5 * x * x - z.log_det);
    }
    EXPECT_LT(divergence, 0.03) << components;
    EXPECT_GT(divergence, 0.0) << components;
  }
}

// Over a standard normal base the density is that of the mixture.
TEST(NormalMixtureTest, IsAMixtureOfNormals) {
  for (const Case& c : Cases()) {
    const auto components = ComponentsOf(c.theta);
    const double density = Density(components, c.x);
    if (density < 1e-250) continue;
    const auto z = c.mixture.Forward(c.x, c.theta.data());
    const double log_p = z.log_det - 0.5 * z.value * z.value - kHalfLogTwoPi;
    EXPECT_NEAR(log_p, std::log(density), 1e-12 * (1 + z.value * z.value)) << c.x;
    const double side = z.value < 0 ? 1 : -1;
    EXPECT_NEAR(LogNormalCdf(side * z.value), std::log(Cdf(components, c.x, side)),
                1e-12 * (1 + z.value * z.value))
        << c.x;
  }
}

// Independent of any distribution function: the masses between points, by Simpson's rule.
TEST(NormalMixtureTest, MassesAgreeWithQuadrature) {
  const std::vector<double> theta = {0.5, -1.0, 0.2, -2.0, 0.3, 3.0, 0.1, -1.5, 0.7};
  const auto components = ComponentsOf(theta);
  const NormalMixture mixture{3};
  for (double x = -6; x < 6; x += 0.5) {
    const double step = 0.5 / 512;
    double mass = 0.0;
    for (int i = 0; i < 512; i += 2)
      mass += step / 3 *
              (Density(components, x + i * step) + 4 * Density(components, x + (i + 1) * step) +
               Density(components, x + (i + 2) * step));
    const auto cdf = [&](double at) {
      return 0.5 * std::erfc(-mixture.Forward(at, theta.data()).value / std::numbers::sqrt2);
    };
    EXPECT_NEAR(cdf(x + 0.5) - cdf(x), mass, 1e-10) << x;
  }
}

TEST(NormalMixtureTest, LogDetIsLogOfSlope) {
  for (const Case& c : Cases()) {
    const auto z = c.mixture.Forward(Variable(c.x), Duals(c.theta).data());
    if (z.log_det.value < -600) continue;  // the slope itself underflows
    EXPECT_NEAR(z.log_det.value, std::log(z.value.slope), 1e-12 * (1 + std::fabs(z.log_det.value)));
    if (z.log_det.value < -12) continue;
    const auto x = c.mixture.Inverse(Dual(z.value.value, 1.0), Duals(c.theta).data());
    EXPECT_NEAR(x.log_det.value, std::log(x.value.slope), 1e-6);
  }
}

TEST(NormalMixtureTest, AdjointAgreesWithDualNumbers) {
  for (const Case& c : Cases()) {
    std::vector<Dual> theta = Duals(c.theta);
    std::vector<double> theta_bar(c.theta.size());
    const double x_bar =
        c.mixture.Adjoint(c.x, c.theta.data(), c.z_bar, c.log_det_bar, theta_bar.data());
    const auto expect_slope = [&](double bar, const Mapped<Dual>& z) {
      const double exact = c.z_bar * z.value.slope + c.log_det_bar * z.log_det.slope;
      // Derivatives of log_det are differences of terms that grow like z.
      const double scale = 1 + std::fabs(z.value.value) + std::fabs(exact);
      EXPECT_NEAR(bar, exact, 1e-9 * scale) << c.x << " " << c.theta.size();
    };
    expect_slope(x_bar, c.mixture.Forward(Variable(c.x), theta.data()));
    for (std::size_t k = 0; k < theta.size(); ++k) {
      theta[k].slope = 1.0;
      expect_slope(theta_bar[k], c.mixture.Forward(Dual(c.x), theta.data()));
      theta[k].slope = 0.0;
    }
  }
}

TEST(NormalMixtureTest, InverseUndoesForward) {
  for (const Case& c : Cases()) {
    const auto z = c.mixture.Forward(c.x, c.theta.data());
    const auto x = c.mixture.Inverse(z.value, c.theta.data());
    const auto again = c.mixture.Forward(x.value, c.theta.data());
    EXPECT_NEAR(again.value, z.value, 1e-11 * (1 + std::fabs(z.value)));
    if (z.log_det < -12) continue;  // a gap between components
    EXPECT_NEAR(x.value, c.x, 1e-9 * (1 + std::fabs(c.x)));
    EXPECT_NEAR(x.log_det, -z.log_det, 1e-9 * (1 + std::fabs(z.log_det)));
  }
}

TEST(NormalMixtureTest, PacksAgreeWithDoubles) {
  for (const Case& c : Cases()) {
    const auto theta = Packs(c.theta);
    const auto exact = c.mixture.Forward(c.x, c.theta.data());
    const auto z = c.mixture.Forward(Pack(static_cast<float>(c.x)), theta.data());
    EXPECT_NEAR(z.value.v[0], exact.value, 1e-5 * (1 + std::fabs(exact.value)));
    EXPECT_NEAR(z.log_det.v[0], exact.log_det,
                2e-5 * (1 + std::fabs(exact.log_det) + exact.value * exact.value));
    const auto x = c.mixture.Inverse(z.value, theta.data());
    if (exact.log_det > -5) {
      EXPECT_NEAR(x.value.v[0], c.x, 1e-4 * (1 + std::fabs(c.x)));
    }
    // What Inverse gives in a gap is in the gap too.
    const auto again = c.mixture.Forward(x.value, theta.data());
    const double steepest = std::max<double>(exact.log_det, again.log_det.v[0]);
    const double resolution = std::exp(std::min(steepest, 20.0)) * std::fabs(c.x) * FLT_EPSILON;
    EXPECT_NEAR(again.value.v[0], z.value.v[0],
                1e-5 * (1 + std::fabs(exact.value)) + 2 * resolution);
  }
}

// Narrow components far apart: -50 and 50, both with the smallest scale.
TEST(NormalMixtureTest, InverseFindsNarrowComponents) {
  const std::vector<double> theta = {0.0, 0.0, -50.0, 50.0, -1e9, -1e9};
  const NormalMixture mixture{2};
  const double scale = ComponentsOf(theta)[0].scale;
  EXPECT_LT(scale, 0.0007);
  for (double z = -5; z <= 5; z += 0.01) {
    const double x = mixture.Inverse(z, theta.data()).value;
    const double x_float =
        mixture.Inverse(Pack(static_cast<float>(z)), Packs(theta).data()).value.v[0];
    if (std::fabs(z) < 0.005) continue;  // the gap
    EXPECT_NEAR(x, z < 0 ? -50.75 : 50.75, 6 * scale) << z;
    EXPECT_NEAR(x_float, x, 1e-6 * 50 + 1e-3 * scale) << z;
  }
}

TEST(NormalMixtureTest, TailsAreThoseOfAComponent) {
  // Both components at 0.
  const std::vector<double> theta = {0.0, 0.0, 0.75, -0.75, 0.0, 0.0};
  const double scale = ComponentsOf(theta)[0].scale;
  for (double x = 30; x < 1e15; x *= 3) {
    for (const double sign : {-1.0, 1.0}) {
      const auto z = NormalMixture{2}.Forward(sign * x, theta.data());
      EXPECT_NEAR(z.value, sign * x / scale, 1e-12 * x);
      EXPECT_NEAR(z.log_det, -std::log(scale), 1e-9);
      const auto packs = Packs(theta);
      const auto single =
          NormalMixture{2}.Forward(Pack(static_cast<float>(sign * x)), packs.data());
      EXPECT_NEAR(single.value.v[0], sign * x / scale, 1e-6 * x);
      EXPECT_NEAR(single.log_det.v[0], -std::log(scale), 1e-5);
      EXPECT_NEAR(NormalMixture{2}.Inverse(single.value, packs.data()).value.v[0], sign * x,
                  1e-6 * x);
    }
  }
}

TEST(NormalMixtureTest, Increases) {
  const std::vector<double> theta = {0.5, -1.0, 0.2, -2.0, 0.3, 3.0, -3.1, -1.5, 0.7};
  double before = -1e300;
  for (double x = -1e6; x < 1e6; x += std::max(0.003, 0.01 * std::fabs(x))) {
    const double z = NormalMixture{3}.Forward(x, theta.data()).value;
    EXPECT_GT(z, before) << x;
    before = z;
  }
}

TEST(NormalMixtureTest, RowsOfAPackDoNotDependOnEachOther) {
  const auto theta = Packs({0.5, -1.0, 0.2, -30.0, 0.3, 3.0, -9.0, -1.5, 0.7});
  Pack z;
  for (int lane = 0; lane < Pack::kWidth; ++lane) z.v[lane] = 0.9f * static_cast<float>(lane - 7);
  const auto all = NormalMixture{3}.Inverse(z, theta.data());
  for (int lane = 0; lane < Pack::kWidth; ++lane) {
    const auto alone = NormalMixture{3}.Inverse(Pack(z.v[lane]), theta.data());
    EXPECT_EQ(alone.value.v[0], all.value.v[lane]) << lane;
    EXPECT_EQ(alone.log_det.v[0], all.log_det.v[lane]) << lane;
  }
}

TEST(NormalMixtureTest, StaysFinite) {
  std::mt19937_64 random(2);
  const double extremes[] = {-FLT_MAX,     -1e9, -1e6, -1e3, -1.0, 0.0,
                             FLT_TRUE_MIN, 1.0,  1e3,  1e6,  1e9,  FLT_MAX};
  std::uniform_int_distribution<int> pick(0, std::size(extremes) - 1);
  for (int i = 0; i < 3000; ++i) {
    const NormalMixture mixture{1 + i % 5};
    std::vector<double> theta(mixture.parameters());
    for (double& t : theta) t = extremes[pick(random)];
    const auto packs = Packs(theta);
    std::vector<Pack> theta_bar(theta.size());
    const Pack x(static_cast<float>(extremes[pick(random)]));
    const auto z = mixture.Forward(x, packs.data());
    EXPECT_TRUE(std::isfinite(z.value.v[0]) && std::isfinite(z.log_det.v[0])) << x.v[0];
    const Pack bar = mixture.Adjoint(x, packs.data(), Pack(1.0f), Pack(-1.0f), theta_bar.data());
    EXPECT_TRUE(std::isfinite(bar.v[0])) << x.v[0];
    for (const Pack& t : theta_bar) EXPECT_TRUE(std::isfinite(t.v[0])) << x.v[0];
    if (std::fabs(x.v[0]) > 1e6) continue;
    const auto back = mixture.Inverse(x, packs.data());
    EXPECT_FALSE(std::isnan(back.value.v[0])) << x.v[0];
  }
}

}  // namespace
}  // namespace millrace
