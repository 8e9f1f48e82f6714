// SPDX-License-Identifier: Apache-2.0
// FitDensity finds the integral of every built-in density, by its defaults.
#include "core/train/energies.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/cpu/cpu_backend.h"

namespace millrace {
namespace {

// ln of the integral over [-20, 20]^2 by the midpoint rule, which converges at once where nothing
// is cut off.
double LogIntegral(Energy energy) {
  constexpr int kCells = 1600;
  constexpr double kEdge = 20.0, kWidth = 2 * kEdge / kCells;
  const auto target = CreateTarget(energy);
  Rows<double> x(kCells, 2), gradient(kCells, 2);
  std::vector<double> log_density(kCells);
  double sum = 0.0;
  for (int i = 0; i < kCells; ++i) {
    for (int j = 0; j < kCells; ++j) {
      x(j, 0) = -kEdge + (i + 0.5) * kWidth;
      x(j, 1) = -kEdge + (j + 0.5) * kWidth;
    }
    EXPECT_TRUE(target->Evaluate(x.view(), log_density, gradient.view()).ok());
    for (const double v : log_density) sum += std::exp(v);
  }
  return std::log(sum * kWidth * kWidth);
}

class EnergiesTest : public testing::TestWithParam<Energy> {};

TEST_P(EnergiesTest, FitFindsTheIntegral) {
  const auto backend = CreateCpuBackend();
  const auto target = CreateTarget(GetParam());
  FitDensityRequest request{.columns = ColumnsOf(GetParam())};
  request.options.seed = 4;
  const absl::StatusOr<Model> model = FitDensity(request, *target, *backend, {}, {});
  ASSERT_TRUE(model.ok()) << model.status();
  const DensityFit& fit = *model->report.density_fit;
  EXPECT_NEAR(fit.log_normaliser, LogIntegral(GetParam()), 0.05);
  EXPECT_LT(fit.log_normaliser_error, 0.01);
  EXPECT_GT(fit.effective_sample_fraction, 0.8);
  EXPECT_LT(fit.divergence, 0.1);
}

INSTANTIATE_TEST_SUITE_P(All, EnergiesTest,
                         testing::ValuesIn(AllEnergies().begin(), AllEnergies().end()),
                         [](const auto& tested) { return NameOf(tested.param); });

TEST(EnergyIntegralsTest, KnownOnes) {
  EXPECT_NEAR(LogIntegral(Energy::kBanana), std::log(2 * 3.14159265358979), 1e-4);
  EXPECT_NEAR(LogIntegral(Energy::kMixture), 0.0, 1e-6);
}

}  // namespace
}  // namespace millrace
