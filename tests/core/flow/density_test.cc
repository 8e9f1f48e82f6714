// SPDX-License-Identifier: Apache-2.0
// A flow is a density: it integrates to 1, and its samples are distributed as it says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <random>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "tests/support/numeric.h"
#include "tests/support/random_parameters.h"

namespace millrace {
namespace {

constexpr double kHalfWidth = 7.0;  // the grid is [-kHalfWidth, kHalfWidth]^2
constexpr int kCells = 140;         // a side
constexpr int kFine = 6;            // points a side of a cell
constexpr int kSamples = 100'000;

class DensityTest : public testing::Test {
 protected:
  DensityTest() : backend_(CreateCpuBackend()) {
    const StackSpec maf{.layers = 4, .hidden_sizes = {24, 24}, .act_norm = true};
    flow_ = *Flow::Create({.dim = 2, .seed = 1, .stack = maf});
  }

  // The probability of each cell, by the midpoint rule.
  std::vector<double> CellProbabilities(std::span<const float> parameters) {
    const auto weights = *backend_->Upload(flow_, parameters);
    constexpr int kSide = kCells * kFine;
    const double step = 2 * kHalfWidth / kSide;
    std::vector<double> cells(kCells * kCells);
    Rows<float> points(kSide, 2);
    std::vector<double> log_prob(kSide);
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        points(j, 0) = static_cast<float>(-kHalfWidth + (i + 0.5) * step);
        points(j, 1) = static_cast<float>(-kHalfWidth + (j + 0.5) * step);
      }
      EXPECT_TRUE(backend_->LogProb(*weights, points.view(), {}, log_prob, {}).ok());
      for (int j = 0; j < kSide; ++j)
        cells[i / kFine * kCells + j / kFine] += std::exp(log_prob[j]) * step * step;
    }
    return cells;
  }

  std::vector<double> CellCounts(std::span<const float> parameters) {
    const auto weights = *backend_->Upload(flow_, parameters);
    Rows<float> samples(kSamples, 2);
    EXPECT_TRUE(backend_->Sample(*weights, 7, 0, 1.0, {}, samples.view(), {}, {}).ok());
    std::vector<double> counts(kCells * kCells);
    for (int r = 0; r < kSamples; ++r) {
      const auto cell = [&](int c) {
        return static_cast<int>(
            std::floor((samples(r, c) + kHalfWidth) / (2 * kHalfWidth) * kCells));
      };
      if (std::min(cell(0), cell(1)) >= 0 && std::max(cell(0), cell(1)) < kCells)
        ++counts[cell(0) * kCells + cell(1)];
    }
    return counts;
  }

  void ExpectADensity(std::span<const float> parameters) {
    const std::vector<double> probabilities = CellProbabilities(parameters);
    double mass = 0.0;
    for (const double p : probabilities) mass += p;
    EXPECT_NEAR(mass, 1.0, 0.01);

    // Pearson's statistic; cells that expect fewer than 10, and the outside of the grid, are one.
    const std::vector<double> counts = CellCounts(parameters);
    double statistic = 0.0, rest_expected = kSamples, rest_count = kSamples;
    int cells = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double expected = kSamples * probabilities[i];
      if (expected < 10) continue;
      statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
      rest_expected -= expected;
      rest_count -= counts[i];
      ++cells;
    }
    if (rest_expected >= 10)
      statistic += (rest_count - rest_expected) * (rest_count - rest_expected) / rest_expected;
    // The statistic's mean is `cells` and its variance twice that: 4 standard deviations.
    EXPECT_GT(cells, 100);
    EXPECT_LT(statistic, cells + 4 * std::sqrt(2.0 * cells));
  }

  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const Flow> flow_;
};

TEST_F(DensityTest, AnyParameters) {
  for (const int seed : {1, 2, 3}) ExpectADensity(AsFloats(RandomParameters(*flow_, seed)).span());
}

// Two moons, fitted well enough that the mass lies on two bent ridges.
TEST_F(DensityTest, TrainedParameters) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> angle(0, std::numbers::pi);
  Rows<float> batch(512, 2);
  TrainState state;
  state.parameters = flow_->InitialParameters();
  const auto session = *backend_->StartTraining(flow_, state);
  double loss = 0.0;
  for (int step = 0; step < 600; ++step) {
    for (int r = 0; r < batch.rows(); ++r) {
      const double t = angle(random);
      const bool upper = r % 2 == 0;
      const double x = upper ? std::cos(t) : 1 - std::cos(t);
      const double y = upper ? std::sin(t) : 0.5 - std::sin(t);
      batch(r, 0) = static_cast<float>((x - 0.5) / 0.87 + RandomNormal(random, 0.115));
      batch(r, 1) = static_cast<float>((y - 0.25) / 0.5 + RandomNormal(random, 0.2));
    }
    loss = session->ComputeGradient(batch.view(), {}).loss;
    session->Step({.learning_rate = step < 400 ? 5e-3 : 1e-3});
  }
  EXPECT_LT(loss, 2.2);  // a Gaussian's is 2.7
  ExpectADensity(session->Save().parameters.span());
}

}  // namespace
}  // namespace millrace
