// SPDX-License-Identifier: Apache-2.0
// A density p(x | c) trained on a table whose conditional density is known, and asked again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/io/model_file.h"
#include "core/score/density.h"
#include "tests/core/train/conditional_tables.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

class WaveTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    backend_ = CreateCpuBackend({.threads = 2});
    TrainRequest request;
    request.columns = Wave::Columns();
    request.options.max_epochs = 40;
    request.options.seed = 3;
    absl::StatusOr<Model> model =
        TrainModel(request, Wave::Table(4000, 1).view(), *backend_, {}, {});
    ASSERT_TRUE(model.ok()) << model.status();
    density_ = *Density::Create(std::make_shared<Model>(*std::move(model)), *backend_);
  }
  static void TearDownTestSuite() {
    density_.reset();
    backend_.reset();
  }
  void SetUp() override { ASSERT_NE(density_, nullptr); }

  static std::unique_ptr<Backend> backend_;
  static std::unique_ptr<const Density> density_;
  const Rows<double> test_ = Wave::Table(2000, 2);
  const Rows<double> rows_ = Columns(test_, {1});
  const Rows<double> context_ = Columns(test_, {0, 2});
};

std::unique_ptr<Backend> WaveTest::backend_;
std::unique_ptr<const Density> WaveTest::density_;

TEST_F(WaveTest, MeanLogDensityIsNearlyTheExact) {
  const Model& model = density_->model();
  EXPECT_EQ(model.spec.dim, 1);
  EXPECT_EQ(model.spec.context_dim, 3);
  EXPECT_FALSE(model.report.gaussian_fallback);
  EXPECT_GT(model.report.held_out.mean, model.report.gaussian_held_out.mean + 0.3);
  const auto result = density_->LogProb(rows_.view(), {}, context_.view());
  ASSERT_TRUE(result.ok()) << result.status();
  double learned = 0.0, exact = 0.0;
  for (std::int64_t r = 0; r < test_.rows(); ++r) {
    learned += result->log_prob[r] / static_cast<double>(test_.rows());
    exact +=
        Wave::LogDensity(test_(r, 1), test_(r, 0), test_(r, 2)) / static_cast<double>(test_.rows());
  }
  EXPECT_NEAR(learned, exact, 0.05);
}

TEST_F(WaveTest, SamplesHaveTheMeanAndDeviationOfTheirCondition) {
  constexpr int kSamples = 4000;
  for (const double c : {0.1, 0.25, 0.6, 0.9}) {
    for (const int label : {0, 1}) {
      const Rows<double> context = OneRow({c, Wave::kLabels[label]});
      const auto samples = density_->Sample(5, 0, kSamples, 1.0, {}, context.view());
      ASSERT_TRUE(samples.ok()) << samples.status();
      double mean = 0.0, squares = 0.0;
      for (int r = 0; r < kSamples; ++r) mean += (*samples)(r, 0) / kSamples;
      for (int r = 0; r < kSamples; ++r) squares += std::pow((*samples)(r, 0) - mean, 2) / kSamples;
      const double deviation = Wave::kDeviations[label];
      EXPECT_NEAR(mean, Wave::Mean(c), 0.3 * deviation) << c << " " << label;
      EXPECT_NEAR(std::sqrt(squares), deviation, 0.2 * deviation) << c << " " << label;
    }
  }
}

TEST_F(WaveTest, IntegratesToOneUnderEveryCondition) {
  constexpr int kPoints = 8001;
  Rows<double> x(kPoints, 1);
  for (int i = 0; i < kPoints; ++i) x(i, 0) = -8.0 + 16.0 * i / (kPoints - 1);
  for (const double c : {-0.5, 0.0, 0.3, 0.75, 1.2}) {
    for (const double k : Wave::kLabels) {
      const auto result = density_->LogProb(x.view(), {}, OneRow({c, k}).view());
      ASSERT_TRUE(result.ok()) << result.status();
      double mass = 0.0;
      for (const double log_prob : result->log_prob) mass += std::exp(log_prob);
      EXPECT_NEAR(mass * 16.0 / (kPoints - 1), 1.0, 0.01) << c << " " << k;
    }
  }
}

// Of one column the first in the order is the only one: both conditions must reach it.
TEST_F(WaveTest, TheFirstColumnDependsOnEveryCondition) {
  const Rows<double> x = OneRow({0.3});
  const auto log_prob = [&](double c, double k) {
    return density_->LogProb(x.view(), {}, OneRow({c, k}).view())->log_prob[0];
  };
  EXPECT_GT(std::abs(log_prob(0.1, -3.0) - log_prob(0.6, -3.0)), 1.0);
  EXPECT_GT(std::abs(log_prob(0.6, -3.0) - log_prob(0.6, 10.0)), 1.0);
}

TEST_F(WaveTest, ARowUnderItsConditionDoesNotSeeTheOthers) {
  const auto all = density_->LogProb(rows_.view().Slice(0, 300), {}, context_.view().Slice(0, 300));
  ASSERT_TRUE(all.ok());
  for (const int r : {0, 1, 17, 299}) {
    const auto one = density_->LogProb(rows_.view().Slice(r, 1), {}, context_.view().Slice(r, 1));
    EXPECT_EQ(one->log_prob[0], all->log_prob[r]);
  }
  Rows<double> repeated(300, 2);
  for (int r = 0; r < 300; ++r) std::copy_n(context_.data(), 2, repeated.view().row(r).data());
  EXPECT_EQ(
      density_->LogProb(rows_.view().Slice(0, 300), {}, repeated.view())->log_prob,
      density_->LogProb(rows_.view().Slice(0, 300), {}, context_.view().Slice(0, 1))->log_prob);
  // A sample, too, depends on its own condition only.
  const auto drawn = density_->Sample(9, 0, 300, 1.0, {}, context_.view().Slice(0, 300));
  const auto part = density_->Sample(9, 100, 5, 1.0, {}, context_.view().Slice(100, 5));
  for (int r = 0; r < 5; ++r) EXPECT_EQ((*part)(r, 0), (*drawn)(100 + r, 0));
}

TEST_F(WaveTest, FarConditionsGiveFiniteAnswers) {
  for (const double c : {1e3, -1e6, 1e300, -1.7e308}) {
    const Rows<double> context = OneRow({c, 10.0});
    const auto result = density_->LogProb(rows_.view(), {}, context.view());
    ASSERT_TRUE(result.ok()) << result.status();
    for (const double log_prob : result->log_prob) EXPECT_TRUE(std::isfinite(log_prob)) << c;
    const auto samples = density_->Sample(1, 0, 100, 1.0, {}, context.view());
    ASSERT_TRUE(samples.ok()) << samples.status();
    for (int r = 0; r < 100; ++r) EXPECT_TRUE(std::isfinite((*samples)(r, 0))) << c;
  }
}

TEST_F(WaveTest, EncodesDecodesAndWalksUnderConditions) {
  const auto rows = rows_.view().Slice(0, 200), context = context_.view().Slice(0, 200);
  const auto latent = density_->Encode(rows, {}, context);
  ASSERT_TRUE(latent.ok()) << latent.status();
  const auto back = density_->Decode(latent->view(), {}, context);
  ASSERT_TRUE(back.ok()) << back.status();
  for (int r = 0; r < 200; ++r) EXPECT_NEAR((*back)(r, 0), rows(r, 0), 1e-3);

  const Rows<double> condition = OneRow({0.25, 10.0});
  const Rows<double> from = OneRow({0.2}), to = OneRow({1.7});
  const auto path =
      density_->Interpolate(from.view(), to.view(), {.steps = 5}, {}, condition.view());
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_NEAR(path->rows(0, 0), 0.2, 1e-3);
  EXPECT_NEAR(path->rows(4, 0), 1.7, 1e-3);
  EXPECT_EQ(path->log_prob, density_->LogProb(path->rows.view(), {}, condition.view())->log_prob);
  const Rows<double> two(2, 2);
  EXPECT_EQ(
      DetailOf(density_->Interpolate(from.view(), to.view(), {.steps = 5}, {}, two.view()).status())
          .field,
      "context");
}

TEST_F(WaveTest, ScoresAreConditional) {
  // The top of the wave is likely at its crest and not in its trough.
  const Rows<double> x = OneRow({1.0});
  const auto anomaly = [&](double c, double k) {
    return density_->Score(x.view(), {.false_positive_rate = 0.01}, {}, OneRow({c, k}).view())
               ->is_anomaly[0] != 0;
  };
  EXPECT_FALSE(anomaly(0.25, -3.0));
  EXPECT_TRUE(anomaly(0.75, -3.0));
  // Rows like those that were trained on are flagged as often as the rate says, under whatever
  // label: 2000 rows and 400 of calibration make a deviation of 0.012.
  const auto scores =
      density_->Score(rows_.view(), {.false_positive_rate = 0.05}, {}, context_.view());
  ASSERT_TRUE(scores.ok()) << scores.status();
  const auto flagged = std::count(scores->is_anomaly.begin(), scores->is_anomaly.end(), 1);
  EXPECT_NEAR(static_cast<double>(flagged) / 2000.0, 0.05, 0.05);
}

// Given nothing else but the conditions, the only column's term is its whole log-density.
TEST_F(WaveTest, ContributionsAreUnderTheRowsCondition) {
  const auto rows = rows_.view().Slice(0, 40), context = context_.view().Slice(0, 40);
  for (const auto kind : {Contributions::kConditional, Contributions::kChain}) {
    const auto scores =
        density_->Score(rows, {.false_positive_rate = 0.05, .contributions = kind}, {}, context);
    if (kind == Contributions::kChain &&
        !density_->flow().IsTriangular(density_->model().parameters.span()))
      continue;
    ASSERT_TRUE(scores.ok()) << scores.status();
    for (int r = 0; r < 40; ++r)
      EXPECT_NEAR(scores->contributions(r, 0), scores->density.log_prob[r], 1e-2) << r;
  }
}

TEST_F(WaveTest, AContextIsNeededAndChecked) {
  const auto field = [&](RowsView<const double> context) {
    const auto result = density_->LogProb(rows_.view(), {}, context);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return DetailOf(result.status()).field;
  };
  EXPECT_EQ(field({}), "context");
  EXPECT_EQ(field(context_.view().Slice(0, 3)), "context");
  EXPECT_EQ(field(rows_.view()), "context");
  EXPECT_EQ(field(OneRow({0.5, 4.0}).view()), "context");
  const Rows<double> latent(3, 1);
  EXPECT_EQ(DetailOf(density_->Decode(latent.view(), {}).status()).field, "context");
  EXPECT_EQ(DetailOf(density_->Sample(1, 0, 3, 1.0, {}).status()).field, "context");
  EXPECT_EQ(DetailOf(density_->Encode(rows_.view(), {}).status()).field, "context");
}

TEST_F(WaveTest, AModelFileKeepsTheConditions) {
  const absl::StatusOr<std::string> bytes = EncodeModel(density_->model());
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  absl::StatusOr<Model> read = DecodeModel(*bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->context, density_->model().context);
  const auto again = *Density::Create(std::make_shared<Model>(*std::move(read)), *backend_);
  EXPECT_EQ(again->LogProb(rows_.view(), {}, context_.view())->log_prob,
            density_->LogProb(rows_.view(), {}, context_.view())->log_prob);

  Model contradiction = density_->model();
  contradiction.context = {};
  EXPECT_EQ(EncodeModel(contradiction).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      Density::Create(std::make_shared<Model>(std::move(contradiction)), *backend_).status().code(),
      absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace millrace
