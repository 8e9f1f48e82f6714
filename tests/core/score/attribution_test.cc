// SPDX-License-Identifier: Apache-2.0
// Terms against densities whose conditionals are known, or summed up point by point.
#include "core/score/attribution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <numbers>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/score/density.h"
#include "core/score/log_sum.h"
#include "tests/support/fake_backend.h"

namespace millrace {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Normal(double t, double mean, double deviation) {
  const double z = (t - mean) / deviation;
  return -0.5 * z * z - std::log(deviation) - 0.5 * std::log(2 * std::numbers::pi);
}

Column Continuous(const char* name, double center, double scale) {
  return {.name = name, .center = center, .scale = scale};
}

// A model whose flow is never asked: the fake backend answers.
std::shared_ptr<const Model> ModelOf(std::vector<Column> columns) {
  auto model = std::make_shared<Model>();
  model->columns = *ColumnModel::FromColumns(std::move(columns));
  model->spec.dim = model->columns.dim();
  model->spec.stack = StackSpec{.layers = 1, .hidden_sizes = {4}, .mixing = Mixing::kNone};
  model->parameters = (*Flow::Create(model->spec))->InitialParameters();
  model->calibration.log_probs = {-100, -10, 0, 10};
  model->calibration.false_positive_rate = 0.5;
  return model;
}

struct Answer {
  double log_prob;
  std::vector<double> terms;
};

Answer Ask(const std::shared_ptr<const Model>& model, FakeBackend& backend, std::vector<double> row,
           Contributions contributions = Contributions::kConditional) {
  const auto density = *Density::Create(model, backend);
  const auto score = density->Score({row.data(), 1, static_cast<int>(row.size())},
                                    {.contributions = contributions}, {});
  EXPECT_TRUE(score.ok()) << score.status();
  const double* terms = score->contributions.data();
  return {score->density.log_prob[0], {terms, terms + score->contributions.cols()}};
}

double LogProb(const std::shared_ptr<const Model>& model, FakeBackend& backend,
               std::vector<double> row) {
  const auto density = *Density::Create(model, backend);
  return density->LogProb({row.data(), 1, static_cast<int>(row.size())}, {})->log_prob[0];
}

// log p(row) - log of the sum of p over `values` of one column, times `step`.
double BruteForce(const std::shared_ptr<const Model>& model, FakeBackend& backend,
                  std::vector<double> row, int column, double low, double high, double step) {
  const double joint = LogProb(model, backend, row);
  std::vector<double> terms;
  for (double v = low; v < high; v += step) {
    row[column] = v;
    terms.push_back(LogProb(model, backend, row));
  }
  return joint - LogSumExp(terms) - std::log(step);
}

// z_1 ~ N(0, 1), z_2 ~ N(a z_1, s): conditionals are normal in closed form.
TEST(ConditionalTermsTest, CorrelatedNormal) {
  for (const double s : {1.0, 0.1, 1e-3}) {
    const double a = 0.8;
    FakeBackend backend(
        [=](std::span<const float> z) { return Normal(z[0], 0, 1) + Normal(z[1], a * z[0], s); });
    const auto model = ModelOf({Continuous("a", 100, 5), Continuous("b", -3, 0.01)});
    for (const double z0 : {0.0, 1.5, -4.0}) {
      for (const double off : {0.0, 2.0, -6.0}) {
        const double x0 = static_cast<float>(z0);
        const double x1 = static_cast<float>(a * z0 + off * s);
        const Answer answer = Ask(model, backend, {100 + 5 * x0, -3 + 0.01 * x1});
        const double precision = 1 + a * a / (s * s);
        const double expected0 =
            Normal(x0, a * x1 / (s * s) / precision, 1 / std::sqrt(precision)) - std::log(5.0);
        const double expected1 = Normal(x1, a * x0, s) - std::log(0.01);
        EXPECT_NEAR(answer.terms[0], expected0, 1e-2) << s << " " << z0 << " " << off;
        EXPECT_NEAR(answer.terms[1], expected1, 1e-2) << s << " " << z0 << " " << off;
      }
    }
  }
}

// y = +-x up to 1e-3: each column has two narrow modes given the other.
TEST(ConditionalTermsTest, NarrowModesFarApart) {
  const double s = 1e-3;
  FakeBackend backend([=](std::span<const float> z) {
    const double branches[] = {Normal(z[1], z[0], s), Normal(z[1], -z[0], s)};
    return Normal(z[0], 0, 1) + LogMeanExp(branches);
  });
  const auto model = ModelOf({Continuous("x", 0, 1), Continuous("y", 0, 1)});
  for (const double x : {0.3f, 1.7f, -2.4f}) {
    for (const double sign : {1.0, -1.0}) {
      const double y = static_cast<float>(sign * x + 0.5 * s);
      const Answer answer = Ask(model, backend, {x, y});
      const double joint = Normal(x, 0, 1) + Normal(y, sign * x, s) - std::log(2.0);
      EXPECT_NEAR(answer.terms[0], joint - Normal(y, 0, std::hypot(1, s)), 1e-2);
      EXPECT_NEAR(answer.terms[1], joint - Normal(x, 0, 1), 1e-2);
    }
  }
}

// Discrete, tied and constant columns: the sum of LogProb's own density over the column.
TEST(ConditionalTermsTest, SumsOverLatticesAndWindows) {
  Column count{.name = "count",
               .type = ColumnType::kDiscrete,
               .lattice_origin = 0.5,
               .lattice_tolerance = 1e-3,
               .bin_width = 2.0,
               .center = 4.0,
               .scale = 3.0};
  Column positive{.name = "positive",
                  .type = ColumnType::kDiscrete,
                  .lower = 0.0,
                  .lattice_tolerance = 1e-3,
                  .bin_width = 1.0,
                  .center = 1.0,
                  .scale = 0.7};
  Column tied = Continuous("tied", 0, 2);
  tied.bin_width = 0.25;
  Column constant{.name = "constant", .type = ColumnType::kConstant, .constant = 7.0};
  const auto model = ModelOf({count, constant, positive, tied});
  ASSERT_EQ(model->columns.num_offsets(), 8);
  FakeBackend backend([](std::span<const float> z) {
    return Normal(z[0], 0, 1) + Normal(z[1], 0.9 * z[0], 0.3) + Normal(z[2], -0.5 * z[1], 0.05);
  });
  for (const std::vector<double>& row : {std::vector<double>{4.5, 7, 3, -0.1}, {0.5, 7, 1, 1.0}}) {
    const Answer answer = Ask(model, backend, row);
    EXPECT_NEAR(answer.log_prob, LogProb(model, backend, row), 0.0);
    EXPECT_NEAR(answer.terms[0], BruteForce(model, backend, row, 0, -99.5, 101, 2.0), 1e-2);
    EXPECT_EQ(answer.terms[1], 0.0);
    EXPECT_NEAR(answer.terms[2], BruteForce(model, backend, row, 2, 1, 5000, 1.0), 1e-2);
    EXPECT_NEAR(answer.terms[3], BruteForce(model, backend, row, 3, -8, 8, 0.01), 1e-2);
  }
}

// A lattice with too many points for a sum is integrated.
TEST(ConditionalTermsTest, FineLatticesAreIntegrated) {
  Column fine{.name = "fine",
              .type = ColumnType::kDiscrete,
              .lattice_tolerance = 1e-3,
              .bin_width = 1.0,
              .center = 0.0,
              .scale = 200.0};
  const auto model = ModelOf({fine, Continuous("b", 0, 1)});
  FakeBackend backend(
      [](std::span<const float> z) { return Normal(z[0], z[1], 0.4) + Normal(z[1], 0, 1); });
  const Answer answer = Ask(model, backend, {30, 0.5});
  EXPECT_NEAR(answer.terms[0], BruteForce(model, backend, {30, 0.5}, 0, -2000, 2000, 1.0), 1e-2);
}

TEST(ConditionalTermsTest, BoundedColumnsAreIntegratedInTheirOwnUnits) {
  Column share{.name = "share", .lower = 0.0, .upper = 10.0, .center = 0.2, .scale = 1.3};
  const auto model = ModelOf({share, Continuous("b", 0, 1)});
  FakeBackend backend(
      [](std::span<const float> z) { return Normal(z[0], 0.7 * z[1], 0.6) + Normal(z[1], 0, 1); });
  const Answer answer = Ask(model, backend, {4.0, 0.5});
  EXPECT_NEAR(answer.terms[0], BruteForce(model, backend, {4.0, 0.5}, 0, 0.0005, 10, 0.001), 1e-2);
  EXPECT_NEAR(answer.terms[1], BruteForce(model, backend, {4.0, 0.5}, 1, -8, 8, 0.01), 1e-2);
}

TEST(ConditionalTermsTest, OneColumnIsItsDensity) {
  FakeBackend backend([](std::span<const float> z) { return Normal(z[0], 0.1, 0.5); });
  const Answer answer = Ask(ModelOf({Continuous("a", 0, 2)}), backend, {1.0});
  EXPECT_NEAR(answer.terms[0], answer.log_prob, 1e-2);
}

TEST(ConditionalTermsTest, RowsWithoutDensityAreNaN) {
  const auto model = ModelOf(
      {Continuous("a", 0, 1), {.name = "c", .type = ColumnType::kConstant, .constant = 7.0}});
  FakeBackend backend(
      [](std::span<const float> z) { return z[0] > 5 ? std::nan("") : Normal(z[0], 0, 1); });
  for (const auto& row : {std::vector<double>{0.0, 8.0}, std::vector<double>{6.0, 7.0}}) {
    const Answer answer = Ask(model, backend, row);
    EXPECT_EQ(answer.log_prob, -kInfinity);
    EXPECT_TRUE(std::isnan(answer.terms[0]));
    EXPECT_TRUE(std::isnan(answer.terms[1]));
  }
}

// Terms of a row do not depend on the rows beside it, bit for bit.
TEST(ConditionalTermsTest, RowsAreIndependent) {
  const auto model = ModelOf({Continuous("a", 0, 1), Continuous("b", 0, 1)});
  FakeBackend backend([](std::span<const float> z) {
    return Normal(z[0], 0, 1) + Normal(z[1], z[0] * z[0], 0.01);
  });
  const auto density = *Density::Create(model, backend);
  std::vector<double> rows;
  for (int r = 0; r < 40; ++r) rows.insert(rows.end(), {0.1 * r - 2, 0.3});
  const ScoreOptions options{.contributions = Contributions::kConditional};
  const auto all = density->Score({rows.data(), 40, 2}, options, {});
  for (const int r : {0, 17, 39}) {
    const auto one = density->Score({rows.data() + 2 * r, 1, 2}, options, {});
    for (int c = 0; c < 2; ++c) EXPECT_EQ(one->contributions(0, c), all->contributions(r, c));
  }
}

TEST(ConditionalTermsTest, AsksInLargeBatches) {
  const auto model = ModelOf({Continuous("a", 0, 1), Continuous("b", 0, 1)});
  FakeBackend backend(
      [](std::span<const float> z) { return Normal(z[0], 0, 1) + Normal(z[1], z[0], 0.1); });
  const auto density = *Density::Create(model, backend);
  std::vector<double> rows(200, 0.25);
  ASSERT_TRUE(
      density->Score({rows.data(), 100, 2}, {.contributions = Contributions::kConditional}, {})
          .ok());
  EXPECT_LT(backend.calls(), 40);
  EXPECT_LT(backend.rows_scored(), 200 * 600);
}

TEST(ConditionalTermsTest, StopsWhenAsked) {
  std::stop_source source;
  int calls = 0;
  FakeBackend backend([&](std::span<const float> z) {
    if (++calls == 100) source.request_stop();
    return Normal(z[0], 0, 1);
  });
  const auto density = *Density::Create(ModelOf({Continuous("a", 0, 1)}), backend);
  const double row = 0.5;
  const auto score = density->Score({&row, 1, 1}, {.contributions = Contributions::kConditional},
                                    source.get_token());
  EXPECT_EQ(score.status().code(), absl::StatusCode::kCancelled);
}

TEST(ChainTermsTest, SumToTheMeanOverOffsets) {
  Column count{.name = "count",
               .type = ColumnType::kDiscrete,
               .lattice_tolerance = 1e-3,
               .bin_width = 1.0,
               .center = 4.0,
               .scale = 1.5};
  const auto model = ModelOf({Continuous("a", 1, 2), count, Continuous("b", 0, 1)});
  const auto terms = [](std::span<const float> z, std::span<double> out) {
    out[0] = Normal(z[0], 0, 1);
    out[1] = Normal(z[1], z[0], 0.5);
    out[2] = Normal(z[2], z[1], 0.25);
  };
  FakeBackend backend(
      [terms](std::span<const float> z) {
        double t[3];
        terms(z, t);
        return t[0] + t[1] + t[2];
      },
      terms);
  const Answer answer = Ask(model, backend, {2.0, 5.0, 0.4}, Contributions::kChain);
  EXPECT_NEAR(answer.terms[0], Normal(0.5, 0, 1) - std::log(2.0), 1e-6);  // no bins: one density
  EXPECT_NEAR(answer.terms[0] + answer.terms[1] + answer.terms[2], answer.log_prob, 1e-9);
  // P(count = 5 | a): the mean density over its bin, by the midpoint rule at the same eight
  // positions.
  std::vector<double> bin;
  for (int k = 0; k < 8; ++k)
    bin.push_back(Normal((4.5 + (k + 0.5) / 8 - 4) / 1.5, 0.5, 0.5) - std::log(1.5));
  EXPECT_NEAR(answer.terms[1], LogMeanExp(bin), 1e-6);
}

// A Gaussian, as the trainer falls back to it, has its terms whatever mixing was asked for.
TEST(ChainTermsTest, OfAGaussianAreItsRegressions) {
  auto model = std::make_shared<Model>(*ModelOf({Continuous("a", 1, 2), Continuous("b", 0, 0.5)}));
  model->spec.stack = StackSpec{.layers = 0, .hidden_sizes = {4}, .whiten = true};
  const auto flow = *Flow::Create(model->spec);
  model->parameters = flow->InitialParameters();
  const Moments moments{{0.3, -0.2}, {1.0, 0.6, 0.6, 0.8}};
  flow->transforms()[0]->InitialiseFromMoments(moments, model->parameters.span());
  const auto backend = CreateCpuBackend({.threads = 1});
  const auto score = [&] {
    const double row[] = {2.0, 0.4};
    return (*Density::Create(model, *backend))
        ->Score({row, 1, 2}, {.contributions = Contributions::kChain}, {});
  };
  const auto terms = score();
  ASSERT_TRUE(terms.ok()) << terms.status();
  const double a = 0.5, b = 0.8;  // the row in standardised units
  EXPECT_NEAR(terms->contributions(0, 0), Normal(a, 0.3, 1.0) - std::log(2.0), 1e-5);
  EXPECT_NEAR(terms->contributions(0, 1),
              Normal(b, -0.2 + 0.6 * (a - 0.3), std::sqrt(0.8 - 0.36)) - std::log(0.5), 1e-5);

  const auto upper =
      std::ranges::find(flow->layout().entries(), "0.lu.upper", &ParameterLayout::Entry::name);
  model->parameters[upper->slice.offset + 1] = 0.1f;  // now b enters into z_a
  EXPECT_EQ(score().status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace millrace
