// SPDX-License-Identifier: Apache-2.0
// Mixture conditionals, trained: their components start alike, and must part.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <numbers>
#include <random>
#include <vector>

#include "core/base/rows.h"
#include "core/cpu/cpu_backend.h"
#include "core/flow/flow.h"
#include "tests/support/numeric.h"

namespace millrace {
namespace {

constexpr double kWide = 0.3, kNarrow = 0.2;

// Two modes in the first column; the second is near plus or minus the first.
Rows<float> FourBlobs(std::mt19937_64& random, int rows) {
  Rows<float> values(rows, 2);
  for (int r = 0; r < rows; ++r) {
    const auto coin = [&] { return random() % 2 == 0 ? 1.0 : -1.0; };
    const double first = 1.5 * coin() + RandomNormal(random, kWide);
    values(r, 0) = static_cast<float>(first);
    values(r, 1) = static_cast<float>(first * coin() + RandomNormal(random, kNarrow));
  }
  return values;
}

// ln p(x), exact.
double LogDensity(double first, double second) {
  const auto normal = [](double x, double scale) {
    return std::exp(-0.5 * x * x / (scale * scale)) / scale / std::sqrt(2 * std::numbers::pi);
  };
  return std::log(0.5 * normal(first - 1.5, kWide) + 0.5 * normal(first + 1.5, kWide)) +
         std::log(0.5 * normal(second - first, kNarrow) + 0.5 * normal(second + first, kNarrow));
}

TEST(MadeMogTest, FindsSeparateModes) {
  StackSpec stack;
  stack.architecture = Architecture::kMadeMog;
  stack.layers = 1;
  stack.hidden_sizes = {32};
  stack.activation = Activation::kTanh;
  const std::shared_ptr<const Flow> flow =
      *Flow::Create({.dim = 2, .context_dim = 0, .seed = 3, .stack = stack});
  const std::unique_ptr<Backend> backend = CreateCpuBackend({.threads = 2});
  TrainState state;
  state.parameters = flow->InitialParameters();
  const auto session = *backend->StartTraining(flow, state);
  std::mt19937_64 random(4);
  for (int step = 0; step < 600; ++step) {
    ASSERT_TRUE(std::isfinite(session->ComputeGradient(FourBlobs(random, 256).view(), {}).loss));
    session->Step({.learning_rate = step < 400 ? 1e-2 : 1e-3});
  }

  const Rows<float> held_out = FourBlobs(random, 4000);
  std::vector<double> log_prob(4000);
  ASSERT_TRUE(session->LogProb(held_out.view(), {}, false, log_prob, {}).ok());
  double gap = 0.0;
  for (int r = 0; r < 4000; ++r)
    gap += (LogDensity(held_out(r, 0), held_out(r, 1)) - log_prob[r]) / 4000;
  EXPECT_LT(gap, 0.05);
  EXPECT_GT(gap, -0.01);

  // Its map serves where a density alone would not: rows to latent points and back.
  const auto weights = *backend->Upload(flow, session->Save().parameters.span());
  Rows<float> latent(4000, 2), back(4000, 2);
  std::vector<double> log_det(4000);
  ASSERT_TRUE(backend->Forward(*weights, held_out.view(), {}, latent.view(), log_det, {}).ok());
  ASSERT_TRUE(backend->Inverse(*weights, latent.view(), {}, back.view(), log_det, {}).ok());
  for (int r = 0; r < 4000; ++r)
    for (int c = 0; c < 2; ++c) ASSERT_NEAR(back(r, c), held_out(r, c), 2e-3) << r;
}

}  // namespace
}  // namespace millrace
