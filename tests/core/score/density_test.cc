// SPDX-License-Identifier: Apache-2.0
// Density on the processor's backend, with a flow of random parameters.
#include "core/score/density.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/io/model_file.h"
#include "core/math/affine.h"
#include "core/math/uniform.h"
#include "core/score/log_sum.h"

namespace millrace {
namespace {

using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Columns "a" (real), "k" (integers), "c" (constant), "b" (bounded below by 0).
std::shared_ptr<Model> RandomModel(Mixing mixing = Mixing::kReverse) {
  auto model = std::make_shared<Model>();
  model->columns =
      *ColumnModel::FromColumns({{.name = "a", .deviation = 4.0, .center = 10.0, .scale = 4.0},
                                 {.name = "k",
                                  .type = ColumnType::kDiscrete,
                                  .lattice_tolerance = 1e-3,
                                  .bin_width = 1.0,
                                  .center = 3.0,
                                  .scale = 2.0},
                                 {.name = "c", .type = ColumnType::kConstant, .constant = 7.0},
                                 {.name = "b", .lower = 0.0, .center = 0.5, .scale = 0.7}});
  model->spec.dim = 3;
  model->spec.stack = StackSpec{
      .layers = 2, .hidden_sizes = {8, 8}, .mixing = mixing, .activation = Activation::kTanh};
  const auto flow = *Flow::Create(model->spec);
  model->parameters = flow->InitialParameters();
  // The last layers start at zero; these make a flow of mild curvature.
  for (const ParameterLayout::Entry& entry : flow->layout().entries()) {
    for (int r = 0; r < entry.slice.rows; ++r) {
      for (int c = 0; c < entry.slice.cols; ++c) {
        float& value =
            model
                ->parameters[entry.slice.offset + static_cast<std::size_t>(r) * entry.slice.ld + c];
        if (value == 0.0f && entry.slice.rows == 1)
          value = static_cast<float>(0.4 * (UniformAt(3, 1, entry.slice.offset, c) - 0.5));
      }
    }
  }
  for (int i = 0; i < 199; ++i) model->calibration.log_probs.push_back(-12.0 + 0.05 * i);
  model->calibration.false_positive_rate = 0.02;
  return model;
}

Rows<double> SomeRows(int n) {
  Rows<double> rows(n, 4);
  for (int r = 0; r < n; ++r) {
    rows(r, 0) = 10 + 8 * (UniformAt(1, 1, r, 0) - 0.5);
    rows(r, 1) = std::floor(7 * UniformAt(1, 1, r, 1));
    rows(r, 2) = 7.0;
    rows(r, 3) = 3 * UniformAt(1, 1, r, 2);
  }
  return rows;
}

class DensityTest : public testing::Test {
 protected:
  DensityTest() : backend_(CreateCpuBackend({.threads = 2})) {
    density_ = *Density::Create(RandomModel(), *backend_);
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<const Density> density_;
};

TEST_F(DensityTest, IntegratesToOneInTheUsersUnits) {
  double total = 0.0;
  for (int k = -12; k <= 18; ++k) {
    std::vector<double> rows;
    std::vector<double> areas;
    for (double a = -25; a < 45; a += 0.5) {
      for (double log_b = -6; log_b < 7; log_b += 0.1) {
        rows.insert(rows.end(), {a, static_cast<double>(k), 7.0, std::exp(log_b)});
        areas.push_back(0.5 * 0.1 * std::exp(log_b));
      }
    }
    const auto result =
        density_->LogProb({rows.data(), static_cast<std::int64_t>(areas.size()), 4}, {});
    ASSERT_TRUE(result.ok()) << result.status();
    for (std::size_t i = 0; i < areas.size(); ++i)
      total += areas[i] * std::exp(result->log_prob[i]);
  }
  EXPECT_NEAR(total, 1.0, 5e-3);
}

TEST_F(DensityTest, ARowAloneAndInAnyBatchHasTheSameBits) {
  const Rows<double> rows = SomeRows(777);
  const auto all = density_->LogProb(rows.view(), {});
  for (const int r : {0, 1, 63, 64, 500, 776})
    EXPECT_EQ(density_->LogProb(rows.view().Slice(r, 1), {})->log_prob[0], all->log_prob[r]);
  const auto one_thread = CreateCpuBackend({.threads = 1});
  const auto other = *Density::Create(RandomModel(), *one_thread);
  EXPECT_EQ(other->LogProb(rows.view(), {})->log_prob, all->log_prob);
}

TEST_F(DensityTest, ASavedModelHasTheSameBits) {
  const auto loaded = std::make_shared<Model>(*DecodeModel(*EncodeModel(*RandomModel())));
  const auto other = *Density::Create(loaded, *backend_);
  const Rows<double> rows = SomeRows(100);
  EXPECT_EQ(other->LogProb(rows.view(), {})->log_prob,
            density_->LogProb(rows.view(), {})->log_prob);
}

TEST_F(DensityTest, OutOfSupportIsMinusInfinityAndFarRowsAreNot) {
  Rows<double> rows = SomeRows(7);
  rows(0, 2) = 7.5;
  rows(1, 3) = 0.0;
  rows(2, 1) = 2.5;
  rows(3, 0) = 1e5;
  rows(4, 0) = -1e300;
  rows(5, 3) = 1e300;
  const auto result = density_->LogProb(rows.view(), {});
  ASSERT_TRUE(result.ok());
  for (int r = 0; r < 3; ++r) {
    EXPECT_TRUE(result->out_of_support[r]);
    EXPECT_EQ(result->log_prob[r], -kInfinity);
  }
  for (int r = 3; r < 7; ++r) {
    EXPECT_FALSE(result->out_of_support[r]);
    EXPECT_TRUE(std::isfinite(result->log_prob[r])) << r;
  }
}

TEST_F(DensityTest, ScoresAgreeWithCalibration) {
  Rows<double> rows = SomeRows(200);
  rows(0, 0) = 500;
  rows(1, 2) = 0.0;
  const auto score = density_->Score(rows.view(), {}, {});
  ASSERT_TRUE(score.ok());
  EXPECT_EQ(score->false_positive_rate, 0.02);
  EXPECT_EQ(score->tail_probability[1], 1.0 / 200);
  EXPECT_TRUE(score->is_anomaly[0]);
  EXPECT_TRUE(score->is_anomaly[1]);
  for (int r = 0; r < 200; ++r)
    EXPECT_EQ(score->is_anomaly[r] != 0, score->density.log_prob[r] < score->threshold);
  EXPECT_EQ(score->contributions.rows(), 0);
  const auto refused = [&](double rate) {
    return density_->Score(rows.view(), {.false_positive_rate = rate}, {}).status().code();
  };
  EXPECT_EQ(refused(0.004), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refused(1.5), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      density_->Score(rows.view(), {.contributions = Contributions::kChain}, {}).status().code(),
      absl::StatusCode::kInvalidArgument);
}

TEST_F(DensityTest, ConditionalTermsAgreeWithSums) {
  const Rows<double> rows = SomeRows(3);
  const auto score =
      density_->Score(rows.view(), {.contributions = Contributions::kConditional}, {});
  ASSERT_TRUE(score.ok()) << score.status();
  for (int r = 0; r < 3; ++r) {
    const auto sum = [&](int column, double low, double high, double step) {
      Rows<double> line(static_cast<std::int64_t>((high - low) / step), 4);
      for (std::int64_t i = 0; i < line.rows(); ++i) {
        std::copy_n(rows.view().row(r).data(), 4, line.view().row(i).data());
        line(i, column) = low + static_cast<double>(i) * step;
      }
      return LogSumExp(density_->LogProb(line.view(), {})->log_prob) + std::log(step);
    };
    const double log_prob = score->density.log_prob[r];
    EXPECT_NEAR(score->contributions(r, 0), log_prob - sum(0, -40, 60, 0.02), 1e-2);
    EXPECT_NEAR(score->contributions(r, 1), log_prob - sum(1, -40, 40, 1.0), 1e-2);
    EXPECT_EQ(score->contributions(r, 2), 0.0);
    EXPECT_NEAR(score->contributions(r, 3), log_prob - sum(3, 0.001, 200, 0.002), 1e-2);
  }
}

TEST_F(DensityTest, ChainTermsSumToTheLogDensity) {
  const auto model = RandomModel(Mixing::kNone);
  const auto density = *Density::Create(model, *backend_);
  const Rows<double> rows = SomeRows(20);
  const auto score = density->Score(rows.view(), {.contributions = Contributions::kChain}, {});
  ASSERT_TRUE(score.ok()) << score.status();
  for (int r = 0; r < 20; ++r) {
    double sum = 0.0;
    for (int c = 0; c < 4; ++c) sum += score->contributions(r, c);
    EXPECT_NEAR(sum, score->density.log_prob[r], 1e-4);
  }
  // The last term is the conditional of the last column.
  const auto conditional =
      density->Score(rows.view(), {.contributions = Contributions::kConditional}, {});
  for (int r = 0; r < 20; ++r)
    EXPECT_NEAR(score->contributions(r, 3), conditional->contributions(r, 3), 1e-2);
}

TEST_F(DensityTest, SamplesDependOnSeedAndRowOnly) {
  const auto all = density_->Sample(5, 100, 300, 1.0, {});
  const auto part = density_->Sample(5, 250, 20, 1.0, {});
  const auto other = density_->Sample(6, 250, 20, 1.0, {});
  ASSERT_TRUE(all.ok() && part.ok() && other.ok());
  for (int r = 0; r < 20; ++r) {
    for (int c = 0; c < 4; ++c) EXPECT_EQ((*part)(r, c), (*all)(150 + r, c));
    EXPECT_NE((*part)(r, 0), (*other)(r, 0));
    EXPECT_EQ((*part)(r, 1), std::nearbyint((*part)(r, 1)));
    EXPECT_EQ((*part)(r, 2), 7.0);
    EXPECT_GT((*part)(r, 3), 0.0);
  }
  for (const double temperature : {-0.1, -1.0, 10.5, kInfinity, std::nan("")})
    EXPECT_EQ(density_->Sample(1, 0, 1, temperature, {}).status().code(),
              absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(density_->Sample(1, 0, 0, 1.0, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DensityTest, DecodeInvertsEncode) {
  const Rows<double> rows = SomeRows(50);
  const auto encoded = density_->Encode(rows.view(), {});
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  EXPECT_EQ(encoded->cols(), 3);
  const auto decoded = density_->Decode(encoded->view(), {});
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  for (int r = 0; r < 50; ++r) {
    for (int c = 0; c < 4; ++c)
      EXPECT_NEAR((*decoded)(r, c), rows(r, c), c == 1 || c == 2 ? 0.0 : 1e-3);
  }
}

TEST_F(DensityTest, InterpolationStartsAndEndsAtTheRows) {
  const Rows<double> rows = SomeRows(2);
  for (const auto kind : {InterpolationKind::kLinear, InterpolationKind::kSpherical}) {
    const auto path = density_->Interpolate(rows.view().Slice(0, 1), rows.view().Slice(1, 1),
                                            {.steps = 5, .kind = kind}, {});
    ASSERT_TRUE(path.ok()) << path.status();
    EXPECT_EQ(path->rows.rows(), 5);
    for (int c = 0; c < 4; ++c) {
      EXPECT_NEAR(path->rows(0, c), rows(0, c), 1e-3);
      EXPECT_NEAR(path->rows(4, c), rows(1, c), 1e-3);
    }
    for (const double log_prob : path->log_prob) EXPECT_TRUE(std::isfinite(log_prob));
  }
  const auto one = rows.view().Slice(0, 1);
  EXPECT_EQ(density_->Interpolate(one, one, {.steps = 1}, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(density_->Interpolate(rows.view(), one, {}, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  Rows<double> bad = SomeRows(1);
  bad(0, 3) = kInfinity;
  EXPECT_EQ(DetailOf(density_->Interpolate(one, bad.view(), {}, {}).status()).row, 1);
  const std::vector<int> order = {3, 2, 1, 0};
  NumberRows reversed = bad.view();
  reversed.order = order;
  const ErrorDetail detail = DetailOf(density_->Interpolate(one, reversed, {}, {}).status());
  EXPECT_EQ(detail.row, 1);
  EXPECT_EQ(detail.column, 3) << "where it stands in what was given";
}

TEST_F(DensityTest, BadRowsAreNamed) {
  Rows<double> rows = SomeRows(5);
  rows(3, 1) = std::nan("");
  const absl::Status statuses[] = {density_->LogProb(rows.view(), {}).status(),
                                   density_->Score(rows.view(), {}, {}).status(),
                                   density_->Encode(rows.view(), {}).status()};
  for (const absl::Status& status : statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(status).row, 3);
    EXPECT_EQ(DetailOf(status).column, 1);
  }
  rows(3, 1) = 2.5;
  const absl::Status outside = density_->Encode(rows.view(), {}).status();
  EXPECT_EQ(outside.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(outside).row, 3);
  Rows<double> latent(2, 3);
  latent(1, 2) = kInfinity;
  EXPECT_EQ(DetailOf(density_->Decode(latent.view(), {}).status()).row, 1);
  EXPECT_FALSE(density_->Decode(Rows<double>(1, 2).view(), {}).ok());
  EXPECT_FALSE(density_->LogProb(Rows<double>(0, 4).view(), {}).ok());
  EXPECT_FALSE(density_->LogProb(Rows<double>(1, 3).view(), {}).ok());
}

TEST_F(DensityTest, FarLatentPointsDecodeOrAreNamed) {
  Rows<double> latent(1, 3);
  for (const double far : {1e3, 1e30, 1e300}) {
    for (int c = 0; c < 3; ++c) latent(0, c) = far;
    const auto decoded = density_->Decode(latent.view(), {});
    if (!decoded.ok()) {
      EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
      continue;
    }
    for (int c = 0; c < 4; ++c) EXPECT_TRUE(std::isfinite((*decoded)(0, c)));
  }
}

TEST_F(DensityTest, StopsWhenAsked) {
  std::stop_source source;
  source.request_stop();
  const Rows<double> rows = SomeRows(5);
  EXPECT_EQ(density_->LogProb(rows.view(), source.get_token()).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(density_->Sample(1, 0, 5, 1.0, source.get_token()).status().code(),
            absl::StatusCode::kCancelled);
}

TEST_F(DensityTest, ModelsThatDoNotFitAreDataLoss) {
  const auto code = [&](auto change) {
    auto model = RandomModel();
    change(*model);
    return Density::Create(model, *backend_).status().code();
  };
  EXPECT_EQ(code([](Model& m) { m.parameters = ParameterValues(5); }), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code([](Model& m) { m.spec.dim = 4; }), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code([](Model& m) { m.spec.stack.reset(); }), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code([](Model& m) { m.columns = *ColumnModel::FromColumns({{.name = "a"}}); }),
            absl::StatusCode::kDataLoss);
}

TEST_F(DensityTest, ResidualModelsThatDoNotContractAreDataLoss) {
  auto model = RandomModel();
  model->spec.stack = StackSpec{
      .architecture = Architecture::kResidual, .layers = 2, .hidden_sizes = {8}, .residual = false};
  model->parameters = (*Flow::Create(model->spec))->InitialParameters();
  EXPECT_TRUE(Density::Create(model, *backend_).ok());
  for (float& v : model->parameters.span()) v = v == 0.0f ? 0.5f : 4.0f * v;
  const absl::Status status = Density::Create(model, *backend_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("invertible only below 1"));
}

// A sample that single precision cannot hold has no replacement of the same density: the request
// fails and names it. The others are there for whoever leaves it out.
TEST_F(DensityTest, SamplesThatOverflowAreNamed) {
  constexpr int kScales = 13;
  auto model = std::make_shared<Model>();
  model->columns = *ColumnModel::FromColumns({{.name = "a"}});
  model->spec.dim = 1;
  model->spec.chain = std::vector<LayerSpec>(
      kScales, LayerSpec{.elementwise = ScalarBijection{ScalarBijection::Kind::kScale}});
  model->parameters = (*Flow::Create(model->spec))->InitialParameters();
  // About 2.5e38 in all.
  for (float& v : model->parameters.span())
    v = static_cast<float>(SoftClipInverse(-88.4 / kScales));
  const auto density = *Density::Create(model, *backend_);
  int first_bad = -1;
  for (int r = 49; r >= 0; --r)
    if (!density->Sample(5, 100 + r, 1, 1.0, {}).ok()) first_bad = r;
  ASSERT_GT(first_bad, 0) << "the seed is to give good samples first";
  const absl::Status status = density->Sample(5, 100, 50, 1.0, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("sample ", 100 + first_bad, " at temperature 1 overflows")));
  EXPECT_TRUE(density->Sample(5, 100, first_bad, 1.0, {}).ok());
  EXPECT_TRUE(density->Sample(5, 100, 50, 0.1, {}).ok());
}

}  // namespace
}  // namespace millrace
