// SPDX-License-Identifier: Apache-2.0
// Completions of discrete, bounded, tied and constant columns; determinism, errors, stopping.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/math/affine.h"
#include "core/score/completion.h"
#include "core/score/density.h"
#include "core/score/log_sum.h"
#include "tests/support/random_parameters.h"

namespace millrace {
namespace {

using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Columns "a" (real), "k" (integers), "c" (constant), "b" (bounded below), "t" (tied).
std::shared_ptr<Model> MixedModel() {
  auto model = std::make_shared<Model>();
  model->columns =
      *ColumnModel::FromColumns({{.name = "a", .center = 10.0, .scale = 4.0},
                                 {.name = "k",
                                  .type = ColumnType::kDiscrete,
                                  .lattice_tolerance = 1e-3,
                                  .bin_width = 1.0,
                                  .center = 3.0,
                                  .scale = 2.0},
                                 {.name = "c", .type = ColumnType::kConstant, .constant = 7.0},
                                 {.name = "b", .lower = 0.0, .center = 0.5, .scale = 0.7},
                                 {.name = "t", .bin_width = 0.25}});
  model->spec.dim = 4;
  model->spec.stack =
      StackSpec{.layers = 2, .hidden_sizes = {8, 8}, .activation = Activation::kTanh};
  const auto flow = *Flow::Create(model->spec);
  model->parameters = AsFloats(RandomParameters(*flow, 3));
  return model;
}

Rows<double> MixedRow(double a, double k, double c, double b, double t) {
  Rows<double> row(1, 5);
  const double values[] = {a, k, c, b, t};
  std::copy_n(values, 5, row.data());
  return row;
}

class MixedCompletionTest : public testing::Test {
 protected:
  MixedCompletionTest() : backend_(CreateCpuBackend({.threads = 2})) {
    density_ = *Density::Create(MixedModel(), *backend_);
  }
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<const Density> density_;
};

TEST_F(MixedCompletionTest, ValuesKeepToTheirColumns) {
  const Rows<double> row = MixedRow(kNaN, kNaN, kNaN, kNaN, 0.1);
  for (const int draws : {0, 40}) {
    const auto done = density_->Complete(row.view(), {.draws = draws, .steps = 60}, {});
    ASSERT_TRUE(done.ok()) << done.status();
    for (int r = 0; r < done->rows.rows(); ++r) {
      EXPECT_EQ(done->rows(r, 1), std::nearbyint(done->rows(r, 1)));
      EXPECT_EQ(done->rows(r, 2), 7.0);
      EXPECT_GT(done->rows(r, 3), 0.0);
      EXPECT_EQ(done->rows(r, 4), 0.1);
      EXPECT_TRUE(std::isfinite(done->log_prob[r]));
      EXPECT_FALSE(done->out_of_support[r]);
    }
  }
}

// The integers, under a known value of everything else, against the density at each of them.
TEST_F(MixedCompletionTest, DrawsOfADiscreteColumnHaveItsProbabilities) {
  constexpr int kDraws = 4000;
  const auto done = density_->Complete(MixedRow(11.0, kNaN, 7.0, 1.5, 0.3).view(),
                                       {.draws = kDraws, .steps = 100}, {});
  ASSERT_TRUE(done.ok()) << done.status();
  std::map<double, double> share;
  for (int r = 0; r < kDraws; ++r) share[done->rows(r, 1)] += 1.0 / kDraws;
  std::vector<double> log_probs;
  for (int k = -20; k <= 26; ++k)
    log_probs.push_back(
        density_->LogProb(MixedRow(11.0, k, 7.0, 1.5, 0.3).view(), {})->log_prob[0]);
  const double total = LogSumExp(log_probs);
  double likeliest = 0.0, highest = -kInfinity;
  for (int k = -20; k <= 26; ++k) {
    const double p = std::exp(log_probs[k + 20] - total);
    // Log-densities are means over eight places in a bin: within a hundredth.
    EXPECT_NEAR(share[k], p, 5.0 * std::sqrt(p / kDraws) + 0.01) << k;
    if (log_probs[k + 20] > highest) highest = log_probs[k + 20], likeliest = k;
  }
  const auto mode = density_->Complete(MixedRow(11.0, kNaN, 7.0, 1.5, 0.3).view(), {}, {});
  EXPECT_NEAR(mode->rows(0, 1), likeliest, 1.0);
}

// A real column under a known integer and a known tied value, whose places in their bins are
// integrated over; against sums of the density.
TEST_F(MixedCompletionTest, DrawsUnderKnownBinsHaveTheMeanOfTheDensity) {
  constexpr int kDraws = 4000;
  const auto done = density_->Complete(MixedRow(kNaN, 2.0, 7.0, 1.5, 0.3).view(),
                                       {.draws = kDraws, .steps = 100}, {});
  ASSERT_TRUE(done.ok()) << done.status();
  double mean = 0.0, square = 0.0;
  for (int r = 0; r < kDraws; ++r) {
    mean += done->rows(r, 0) / kDraws;
    square += done->rows(r, 0) * done->rows(r, 0) / kDraws;
  }
  Rows<double> line(4000, 5);
  for (int i = 0; i < 4000; ++i)
    std::ranges::copy(MixedRow(-30.0 + 0.02 * i, 2.0, 7.0, 1.5, 0.3).view().row(0),
                      line.view().row(i).begin());
  const auto scored = density_->LogProb(line.view(), {});
  double mass = 0.0, expected = 0.0, expected_square = 0.0;
  for (int i = 0; i < 4000; ++i) {
    const double p = std::exp(scored->log_prob[i]);
    mass += p;
    expected += p * line(i, 0);
    expected_square += p * line(i, 0) * line(i, 0);
  }
  expected /= mass;
  const double variance = expected_square / mass - expected * expected;
  EXPECT_NEAR(mean, expected, 5.0 * std::sqrt(variance / kDraws) + 0.02 * std::sqrt(variance));
  EXPECT_NEAR(square - mean * mean, variance, 0.15 * variance);
}

// Beside a bound a bin reaches out to infinity in standardised units. What the contract says:
// completions are the samples of the model that agree with what is known.
TEST(BoundedBinCompletionTest, DrawsAreTheSamplesThatAgree) {
  auto model = std::make_shared<Model>();
  model->columns = *ColumnModel::FromColumns({{.name = "n",
                                               .type = ColumnType::kDiscrete,
                                               .lower = -1.0,
                                               .lattice_tolerance = 1e-3,
                                               .bin_width = 1.0,
                                               .center = 0.5,
                                               .scale = 1.0},
                                              {.name = "a"}});
  model->spec.dim = 2;
  model->spec.chain = std::vector<LayerSpec>{{.linear = LinearLayer{}}};
  model->parameters = AsFloats(RandomParameters(**Flow::Create(model->spec), 2));
  const auto backend = CreateCpuBackend({.threads = 2});
  const auto density = *Density::Create(model, *backend);
  const Rows<double> samples = *density->Sample(1, 0, 100'000, 1.0, {});
  double count = 0.0, mean = 0.0, square = 0.0;
  for (int r = 0; r < samples.rows(); ++r) {
    if (samples(r, 0) != 0.0) continue;
    ++count;
    mean += samples(r, 1);
    square += samples(r, 1) * samples(r, 1);
  }
  mean /= count;
  const double variance = square / count - mean * mean;
  ASSERT_GT(count, 10'000);
  constexpr int kDraws = 5000;
  Rows<double> row(1, 2);
  row(0, 1) = kNaN;
  const auto done = density->Complete(row.view(), {.draws = kDraws, .steps = 100}, {});
  ASSERT_TRUE(done.ok()) << done.status();
  double drawn = 0.0, drawn_square = 0.0;
  for (int k = 0; k < kDraws; ++k) {
    drawn += done->rows(k, 1) / kDraws;
    drawn_square += done->rows(k, 1) * done->rows(k, 1) / kDraws;
  }
  EXPECT_NEAR(drawn, mean, 5.0 * std::sqrt(variance / kDraws));
  EXPECT_NEAR(drawn_square - drawn * drawn, variance, 7.5 * variance / std::sqrt(kDraws));
}

TEST_F(MixedCompletionTest, RowsWithoutMissingValuesComeBackAsTheyAre) {
  Rows<double> rows(2, 5);
  std::ranges::copy(MixedRow(11, 2, 7, 1.5, 0.3).view().row(0), rows.view().row(0).begin());
  std::ranges::copy(MixedRow(11, 2.5, 7, 1.5, 0.3).view().row(0), rows.view().row(1).begin());
  const auto scored = density_->LogProb(rows.view(), {});
  for (const int draws : {0, 3}) {
    const auto done = density_->Complete(rows.view(), {.draws = draws}, {});
    ASSERT_TRUE(done.ok()) << done.status();
    const int copies = std::max(draws, 1);
    for (int r = 0; r < 2 * copies; ++r) {
      for (int c = 0; c < 5; ++c) EXPECT_EQ(done->rows(r, c), rows(r / copies, c));
      EXPECT_EQ(done->log_prob[r], scored->log_prob[r / copies]);
      EXPECT_EQ(done->out_of_support[r], r / copies);
    }
  }
}

TEST_F(MixedCompletionTest, CompletionsDependOnSeedRowAndIndexOnly) {
  Rows<double> rows(5, 5);
  for (int r = 0; r < 5; ++r)
    std::ranges::copy(MixedRow(r == 2 ? 11 : kNaN, 2, 7, kNaN, 0.3).view().row(0),
                      rows.view().row(r).begin());
  const auto one_thread = CreateCpuBackend({.threads = 1});
  const auto other = *Density::Create(MixedModel(), *one_thread);
  const CompletionOptions options{.draws = 6, .steps = 30, .seed = 4, .first_row = 10};
  const auto all = density_->Complete(rows.view(), options, {});
  ASSERT_TRUE(all.ok()) << all.status();
  CompletionOptions fewer = options;
  fewer.draws = 3;
  fewer.first_row = 13;
  const auto part = other->Complete(rows.view().Slice(3, 2), fewer, {});
  ASSERT_TRUE(part.ok()) << part.status();
  for (int r = 0; r < 2; ++r)
    for (int k = 0; k < 3; ++k)
      for (int c = 0; c < 5; ++c)
        EXPECT_EQ(part->rows(3 * r + k, c), all->rows(6 * (3 + r) + k, c));
  EXPECT_NE(all->rows(0, 0), all->rows(1, 0));
  EXPECT_NE(all->rows(0, 0), all->rows(6, 0)) << "equal rows draw apart";
  CompletionOptions reseeded = options;
  reseeded.seed = 5;
  EXPECT_NE(density_->Complete(rows.view(), reseeded, {})->rows(0, 0), all->rows(0, 0));
  const auto mode = density_->Complete(rows.view(), {}, {});
  const auto same = other->Complete(rows.view().Slice(4, 1), {.first_row = 4}, {});
  for (int c = 0; c < 5; ++c) EXPECT_EQ(mode->rows(4, c), same->rows(0, c));
}

TEST_F(MixedCompletionTest, WhatIsWrongIsNamed) {
  const auto fault = [&](const Rows<double>& row, CompletionOptions options = {}) {
    return density_->Complete(row.view(), options, {}).status();
  };
  const absl::Status infinite = fault(MixedRow(kNaN, 2, 7, kInfinity, 0));
  EXPECT_EQ(infinite.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(infinite).row, 0);
  EXPECT_EQ(DetailOf(infinite).column, 3);
  EXPECT_THAT(DetailOf(infinite).expected, HasSubstr("'b'"));
  EXPECT_EQ(DetailOf(fault(MixedRow(1, -kInfinity, 7, 1, 0))).column, 1) << "also in full rows";
  EXPECT_EQ(DetailOf(fault(MixedRow(kNaN, 2.5, 7, 1, 0))).column, 1);
  EXPECT_EQ(DetailOf(fault(MixedRow(kNaN, 2, 7.5, 1, 0))).column, 2);
  EXPECT_EQ(DetailOf(fault(MixedRow(kNaN, 2, 7, -1, 0))).column, 3);
  EXPECT_FALSE(density_->Complete(Rows<double>(1, 4).view(), {}, {}).ok());
  EXPECT_FALSE(density_->Complete(Rows<double>(0, 5).view(), {}, {}).ok());
  const Rows<double> good = MixedRow(kNaN, 2, 7, 1, 0);
  EXPECT_EQ(DetailOf(fault(good, {.draws = -1})).field, "draws");
  EXPECT_EQ(DetailOf(fault(good, {.steps = 1})).field, "steps");
  const std::vector<int> order = {4, 3, 2, 1, 0};
  const Rows<double> backwards = MixedRow(0, kInfinity, 7, 2, kNaN);
  NumberRows reversed = backwards.view();
  reversed.order = order;
  EXPECT_EQ(DetailOf(density_->Complete(reversed, {}, {}).status()).column, 1)
      << "where it stands in what was given";
  EXPECT_EQ(density_->Complete(good.view(), {}, {}, good.view()).status().code(),
            absl::StatusCode::kInvalidArgument)
      << "a context, of a model without conditions";
  EXPECT_FALSE(density_->LogProb(good.view(), {}).ok()) << "NaN stays wrong elsewhere";
}

TEST_F(MixedCompletionTest, StopsWhenAsked) {
  std::stop_source source;
  source.request_stop();
  for (const int draws : {0, 2})
    EXPECT_EQ(
        density_->Complete(MixedRow(kNaN, 2, 7, 1, 0).view(), {.draws = draws}, source.get_token())
            .status()
            .code(),
        absl::StatusCode::kCancelled);
}

// As samples do that single precision cannot hold.
TEST(OverflowingCompletionTest, FailsWhereNothingIsKnown) {
  constexpr int kScales = 13;
  auto model = std::make_shared<Model>();
  model->columns = *ColumnModel::FromColumns({{.name = "a"}});
  model->spec.dim = 1;
  model->spec.chain = std::vector<LayerSpec>(
      kScales, LayerSpec{.elementwise = ScalarBijection{ScalarBijection::Kind::kScale}});
  model->parameters = (*Flow::Create(model->spec))->InitialParameters();
  for (float& v : model->parameters.span())
    v = static_cast<float>(SoftClipInverse(-88.4 / kScales));  // about 2.5e38 in all
  const auto backend = CreateCpuBackend({.threads = 2});
  const auto density = *Density::Create(model, *backend);
  Rows<double> row(1, 1);
  row(0, 0) = kNaN;
  EXPECT_EQ(density->Complete(row.view(), {.draws = 200}, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// Hours of work, stopped once it is under way.
TEST_F(MixedCompletionTest, StopsWhileItWorks) {
  std::stop_source source;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    source.request_stop();
  });
  const auto done = density_->Complete(MixedRow(kNaN, 2, 7, kNaN, 0.3).view(),
                                       {.draws = 100'000, .steps = CompletionOptions::kMaxSteps},
                                       source.get_token());
  EXPECT_EQ(done.status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace millrace
