// SPDX-License-Identifier: Apache-2.0
#include "core/score/line_integral.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <vector>

#include "core/math/uniform.h"
#include "core/score/log_sum.h"

namespace millrace {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Found {
  double log_integral;
  int evaluations;
};

Found Integrate(const std::function<double(double)>& f, double point = 0.0) {
  LineIntegral integral(point);
  while (!integral.wanted().empty()) {
    std::vector<double> values;
    for (const double t : integral.wanted()) {
      EXPECT_EQ(t, static_cast<float>(t));
      values.push_back(f(t));
    }
    integral.Supply(values);
  }
  return {integral.log_integral(), integral.evaluations()};
}

double Normal(double t, double mean, double deviation) {
  const double z = (t - mean) / deviation;
  return -0.5 * z * z - std::log(deviation) - 0.5 * std::log(2 * std::numbers::pi);
}

struct Mode {
  double weight, mean, deviation;
};

std::function<double(double)> Mixture(std::vector<Mode> modes) {
  return [modes](double t) {
    std::vector<double> terms;
    for (const Mode& m : modes)
      terms.push_back(std::log(m.weight) + Normal(t, m.mean, m.deviation));
    return LogSumExp(terms);
  };
}

TEST(LineIntegralTest, NormalsOfEveryWidthAndPlace) {
  for (const double deviation : {3.0, 1.0, 0.3, 0.03, 1e-3, 1e-4}) {
    for (const double mean : {0.0, 0.777, -3.3333, 7.1, 40.0}) {
      if (deviation < 1e-3 && std::abs(mean) > 8.0) continue;  // too few single-precision numbers
      const Found found = Integrate(Mixture({{1.0, mean, deviation}}));
      EXPECT_NEAR(found.log_integral, 0.0, 2e-3) << mean << " " << deviation;
      EXPECT_LT(found.evaluations, 900) << mean << " " << deviation;
    }
  }
}

TEST(LineIntegralTest, KeepsTheFactor) {
  for (const double factor : {-1e5, -50.0, 300.0, 1e5}) {
    const auto f = [factor](double t) { return factor + Normal(t, 0.5, 0.1); };
    EXPECT_NEAR(Integrate(f).log_integral, factor, 2e-3);
  }
}

TEST(LineIntegralTest, NarrowModesFarApart) {
  EXPECT_NEAR(
      Integrate(Mixture({{0.2, -2.6, 1e-3}, {0.5, 0.31, 1e-3}, {0.3, 1.9, 2e-3}})).log_integral,
      0.0, 3e-3);
  EXPECT_NEAR(Integrate(Mixture({{0.5, -0.3, 0.3}, {0.5, 30.0, 0.5}}), 30.2).log_integral, 0.0,
              3e-3);
}

// A spike on top of a broad density, as a column with many zeros has it.
TEST(LineIntegralTest, SpikesOnTopOfBroadMass) {
  for (double place = 0.3; place < 0.4; place += 0.003) {
    EXPECT_NEAR(Integrate(Mixture({{0.1, place, 0.01}, {0.9, -0.2, 1.0}})).log_integral, 0.0, 5e-3);
    EXPECT_NEAR(Integrate(Mixture({{0.5, place, 0.007}, {0.5, -0.2, 1.0}})).log_integral, 0.0,
                5e-3);
    EXPECT_NEAR(
        Integrate(Mixture({{0.1, place, 1e-3}, {0.9, -0.2, 1.0}}), place + 1e-3).log_integral, 0.0,
        5e-3);
  }
}

// Modes at random places at least half a unit apart, of random weights and of widths of one order.
TEST(LineIntegralTest, RandomMixtures) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const auto u = [seed](int i, int j) { return UniformAt(seed, 1, i, j); };
    std::vector<Mode> modes;
    double total = 0.0;
    double mean = -4.0;
    const double deviation = std::exp(std::log(1e-3) * u(8, 8));
    for (int i = 0; i < 1 + static_cast<int>(4 * u(9, 9)); ++i) {
      mean += 0.5 + 1.5 * u(i, 0);
      modes.push_back({0.05 + u(i, 1), mean, deviation * (0.5 + 2 * u(i, 2))});
      total += modes.back().weight;
    }
    const Found found = Integrate(Mixture(modes), modes.back().mean);
    EXPECT_NEAR(found.log_integral, std::log(total), 5e-3) << "seed " << seed;
    EXPECT_LT(found.evaluations, 2000) << "seed " << seed;
  }
}

TEST(LineIntegralTest, OtherShapes) {
  const auto laplace = [](double t) { return -std::abs(t - 0.3) / 0.01 - std::log(0.02); };
  EXPECT_NEAR(Integrate(laplace).log_integral, 0.0, 3e-3);
  const auto cauchy = [](double t) { return -std::log1p(t * t) - std::log(std::numbers::pi); };
  EXPECT_NEAR(Integrate(cauchy).log_integral, 0.0, 3e-3);
  const auto skewed = [](double t) { return -std::exp(3 * t) + 3 * t + std::log(3.0); };
  EXPECT_NEAR(Integrate(skewed).log_integral, 0.0, 3e-3);
  // Piecewise linear slopes, as networks of rectifiers have them.
  const auto kinked = [](double t) {
    const double m = 2.0 * t + 3.0 * std::max(0.0, t - 0.1) - 4.0 * std::max(0.0, t - 0.7);
    return Normal(m, 1.0, 0.05);
  };
  // The three pieces meet m = 1 at t = 0.26 (slope 5), and nowhere else up to m = 1 at slope 1.
  double sum = 0.0;
  for (double t = -1; t < 4; t += 1e-5) sum += 1e-5 * std::exp(kinked(t));
  EXPECT_NEAR(Integrate(kinked).log_integral, std::log(sum), 3e-3);
}

// Single-precision noise in the values must not keep it from ending.
TEST(LineIntegralTest, NoiseDoesNotKeepItBusy) {
  int call = 0;
  const auto noisy = [&](double t) {
    const double f = Normal(t, 0.4, 0.02);
    return f + 1e-6 * (1 + std::abs(f)) * (UniformAt(1, 1, call++, 0) - 0.5);
  };
  const Found found = Integrate(noisy);
  EXPECT_NEAR(found.log_integral, 0.0, 3e-3);
  EXPECT_LT(found.evaluations, 1500);
}

TEST(LineIntegralTest, NothingToIntegrateEnds) {
  for (const double value : {-kInfinity, kInfinity, std::nan("")})
    EXPECT_EQ(Integrate([value](double) { return value; }).log_integral, -kInfinity);
  const auto half = [](double t) { return t < 0 ? std::nan("") : Normal(t, 1.0, 0.1); };
  EXPECT_NEAR(Integrate(half).log_integral, 0.0, 3e-3);
}

// Hostile integrands end too.
TEST(LineIntegralTest, WorkIsBounded) {
  int call = 0;
  EXPECT_LT(Integrate([&](double) { return 1000 * UniformAt(1, 1, call++, 0); }).evaluations,
            20000);
  EXPECT_LT(Integrate([&](double t) { return 50 * std::sin(1e4 * t); }).evaluations, 20000);
}

}  // namespace
}  // namespace millrace
