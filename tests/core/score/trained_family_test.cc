// SPDX-License-Identifier: Apache-2.0
// Architectures as training leaves them: their density has mass 1, their samples are of it and not
// beyond the data, and a model file holds all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/io/model_file.h"
#include "core/score/density.h"
#include "core/train/train_model.h"
#include "tests/core/score/grid.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

struct FamilyCase {
  std::string name;
  Architecture architecture;
  StackChoice choice;
  int epochs;

  friend std::ostream& operator<<(std::ostream& out, const FamilyCase& c) { return out << c.name; }
};

class TrainedFamilyTest : public testing::TestWithParam<FamilyCase> {
 protected:
  static constexpr int kSamples = 100'000;

  void SetUp() override {
    TrainRequest request;
    request.flow.stack = GetParam().choice;
    request.options.max_epochs = GetParam().epochs;
    auto trained = TrainModel(request, table_.view(), *backend_, {}, {});
    ASSERT_TRUE(trained.ok()) << trained.status();
    model_ = std::make_shared<Model>(*std::move(trained));
    ASSERT_FALSE(model_->report.gaussian_fallback);
    ASSERT_EQ(model_->spec.stack->architecture, GetParam().architecture);
    density_ = *Density::Create(model_, *backend_);
  }

  std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 2});
  Rows<double> table_ = TwoMoons::Table(5600, 1);
  std::shared_ptr<const Model> model_;
  std::unique_ptr<const Density> density_;
};

TEST_P(TrainedFamilyTest, SamplesAreOfADensityThatIntegratesToOne) {
  const Lattice2d grid{.low = -3.0, .high = 4.0, .cells = 70, .fine = 6};
  const std::vector<double> expected = CellProbabilities(*density_, grid);
  EXPECT_NEAR(Sum(expected), 1.0, 0.01);
  const auto samples = density_->Sample(7, 0, kSamples, 1.0, {});
  ASSERT_TRUE(samples.ok()) << samples.status();
  ExpectSamplesOf(expected, grid, *samples, 200);
}

// The base is normal: of so many draws of one the farthest is some 4.5 deviations away. Data end
// where their density does; flows that throw single samples far beyond (falcon#126) fail this.
TEST_P(TrainedFamilyTest, NoSampleIsFarBeyondTheData) {
  const auto samples = density_->Sample(8, 0, kSamples, 1.0, {});
  ASSERT_TRUE(samples.ok()) << samples.status();
  for (int c = 0; c < 2; ++c) {
    double mean = 0.0, squares = 0.0;
    const auto n = static_cast<double>(table_.rows());
    for (int r = 0; r < table_.rows(); ++r) mean += table_(r, c) / n;
    for (int r = 0; r < table_.rows(); ++r) squares += std::pow(table_(r, c) - mean, 2) / n;
    double farthest = 0.0;
    for (int r = 0; r < kSamples; ++r)
      farthest = std::max(farthest, std::fabs((*samples)(r, c) - mean) / std::sqrt(squares));
    EXPECT_LT(farthest, 6.0) << c;
  }
}

TEST_P(TrainedFamilyTest, TheModelFileKeepsEveryBit) {
  const auto file = EncodeModel(*model_);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto read = std::make_shared<Model>(*DecodeModel(*file));
  EXPECT_TRUE(SameBits<float>(read->parameters.span(), model_->parameters.span()));
  const auto other = *Density::Create(read, *backend_);
  const auto rows = table_.view().Slice(0, 500);
  EXPECT_TRUE(
      SameBits<double>(other->LogProb(rows, {})->log_prob, density_->LogProb(rows, {})->log_prob));
  const Rows<double> ours = *density_->Sample(3, 0, 500, 1.0, {});
  const Rows<double> theirs = *other->Sample(3, 0, 500, 1.0, {});
  EXPECT_TRUE(SameBits<double>({theirs.data(), 1000}, {ours.data(), 1000}));
}

// With norms of both kinds, but for what training chooses by itself.
StackChoice Normed(Architecture architecture, int layers) {
  return {.architecture = architecture, .layers = layers, .act_norm = true, .batch_norm = true};
}

INSTANTIATE_TEST_SUITE_P(
    All, TrainedFamilyTest,
    testing::Values(
        FamilyCase{"Default", Architecture::kNsfAutoregressive, {}, 6},
        FamilyCase{"NsfCoupling", Architecture::kNsfCoupling, Normed(Architecture::kNsfCoupling, 4),
                   8},
        FamilyCase{"MafMog", Architecture::kMafMog, Normed(Architecture::kMafMog, 3), 8},
        FamilyCase{"Residual", Architecture::kResidual, Normed(Architecture::kResidual, 3), 8},
        FamilyCase{"Planar", Architecture::kPlanar, Normed(Architecture::kPlanar, 16), 12}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace millrace
