// SPDX-License-Identifier: Apache-2.0
// What training makes of conditions: chains, lattices, fallbacks, refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <utility>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/score/density.h"
#include "tests/core/train/conditional_tables.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

TEST(ConditionalTrainingTest, ThreadsChangeNoBit) {
  const Rows<double> table = Wave::Table(400, 4);
  TrainRequest request = Quick(3);
  request.columns = Wave::Columns();
  const auto one = Train(request, table, 1), three = Train(request, table, 3);
  ASSERT_TRUE(one.ok() && three.ok()) << one.status() << three.status();
  ExpectSameModel(*one, *three);
}

// Three columns that only their condition moves; the chain keeps their order, so that nothing but
// the condition can move the first.
TEST(ConditionalTrainingTest, TheConditionReachesEveryColumnOfAChain) {
  Rows<double> table = NormalTable(600, 4, 8);
  for (std::int64_t r = 0; r < 600; ++r)
    for (int c = 0; c < 3; ++c) table(r, c) = 0.2 * table(r, c) + (c + 1) * table(r, 3);
  TrainRequest request = Quick(10);
  request.flow.stack.mixing = Mixing::kNone;
  request.options.batch_size = 32;
  request.options.learning_rate = 1e-2;
  request.columns = {
      {.name = "a"}, {.name = "b"}, {.name = "d"}, {.name = "c", .role = ColumnRole::kCondition}};
  auto model = Train(request, table);
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_FALSE(model->report.gaussian_fallback);
  const auto backend = CreateCpuBackend({.threads = 2});
  const auto density = *Density::Create(std::make_shared<Model>(*std::move(model)), *backend);
  ASSERT_TRUE(density->flow().IsTriangular(density->model().parameters.span()));
  const Rows<double> origin(1, 3);
  const auto low = density->Decode(origin.view(), {}, OneRow({-1.0}).view());
  const auto high = density->Decode(origin.view(), {}, OneRow({1.0}).view());
  ASSERT_TRUE(low.ok() && high.ok());
  for (int c = 0; c < 3; ++c)
    EXPECT_NEAR((*high)(0, c) - (*low)(0, c), 2.0 * (c + 1), 0.5 * (c + 1));

  // The terms of the chain and the quadrature agree about the last column.
  const auto terms = [&](Contributions kind) {
    return density->Score(Columns(table, {0, 1, 2}).view().Slice(0, 20),
                          {.false_positive_rate = 0.1, .contributions = kind}, {},
                          Columns(table, {3}).view().Slice(0, 20));
  };
  const auto chain = terms(Contributions::kChain), quadrature = terms(Contributions::kConditional);
  ASSERT_TRUE(chain.ok() && quadrature.ok()) << chain.status() << quadrature.status();
  for (int r = 0; r < 20; ++r) {
    EXPECT_NEAR(chain->contributions(r, 2), quadrature->contributions(r, 2), 1e-2);
    EXPECT_NEAR(
        chain->contributions(r, 0) + chain->contributions(r, 1) + chain->contributions(r, 2),
        chain->density.log_prob[r], 1e-3);
  }
}

// Rows with bins are scored at several offsets, each under its own row's condition.
TEST(ConditionalTrainingTest, LatticesSumToOneUnderEveryCondition) {
  Rows<double> table = NormalTable(800, 3, 9);
  for (std::int64_t r = 0; r < 800; ++r) {
    table(r, 0) = std::round(1.5 * table(r, 0) + 4.0 * table(r, 2));
    table(r, 1) += table(r, 0);
  }
  TrainRequest request = Quick(30);
  request.flow.stack.mixing = Mixing::kNone;
  request.options.batch_size = 32;
  request.options.learning_rate = 1e-2;
  request.columns = {{.name = "k"}, {.name = "x"}, {.name = "c", .role = ColumnRole::kCondition}};
  auto model = Train(request, table);
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_FALSE(model->report.gaussian_fallback);
  ASSERT_EQ(model->columns.columns()[0].type, ColumnType::kDiscrete);
  const auto backend = CreateCpuBackend({.threads = 2});
  const auto density = *Density::Create(std::make_shared<Model>(*std::move(model)), *backend);

  const Rows<double> rows = Columns(table, {0, 1}), context = Columns(table, {2});
  const auto ask = [&](std::int64_t first, std::int64_t count, Contributions contributions) {
    return density->Score(rows.view().Slice(first, count),
                          {.false_positive_rate = 0.1, .contributions = contributions}, {},
                          context.view().Slice(first, count));
  };
  for (const auto kind : {Contributions::kChain, Contributions::kConditional}) {
    const auto all = ask(0, 30, kind);
    ASSERT_TRUE(all.ok()) << all.status();
    for (const int r : {0, 7, 29}) {
      const auto one = ask(r, 1, kind);
      EXPECT_EQ(one->density.log_prob[0], all->density.log_prob[r]);
      for (int c = 0; c < 2; ++c)
        EXPECT_EQ(one->contributions(0, c), all->contributions(r, c)) << r << " " << c;
    }
  }
  // p(k | c), the chain's first term, over all k.
  for (const double c : {-1.0, 0.5}) {
    Rows<double> lattice(61, 2);
    for (int i = 0; i < 61; ++i) lattice(i, 0) = lattice(i, 1) = i - 30;
    const auto terms = density->Score(
        lattice.view(), {.false_positive_rate = 0.1, .contributions = Contributions::kChain}, {},
        OneRow({c}).view());
    ASSERT_TRUE(terms.ok()) << terms.status();
    double mass = 0.0;
    for (int i = 0; i < 61; ++i) mass += std::exp(terms->contributions(i, 0));
    EXPECT_NEAR(mass, 1.0, 0.02) << c;
  }
}

TEST(ConditionalTrainingTest, AConditionThatSaysNothingLeavesTheGaussian) {
  TrainRequest request = Quick(2);
  request.columns = {{.name = "a"}, {.name = "b"}, {.name = "c", .role = ColumnRole::kCondition}};
  auto model = Train(request, NormalTable(300, 3, 5));
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE(model->report.gaussian_fallback);
  const auto backend = CreateCpuBackend({.threads = 1});
  const auto density = *Density::Create(std::make_shared<Model>(*std::move(model)), *backend);
  const Rows<double> row = OneRow({0.3, -0.4});
  EXPECT_EQ(density->LogProb(row.view(), {}, OneRow({-1.0}).view())->log_prob,
            density->LogProb(row.view(), {}, OneRow({2.0}).view())->log_prob);
  EXPECT_FALSE(density->LogProb(row.view(), {}).ok());
}

TEST(ConditionalTrainingTest, AConditionOfOneValueIsNamed) {
  Rows<double> table = NormalTable(100, 2, 5);
  for (int r = 0; r < 100; ++r) table(r, 1) = 4.0;
  TrainRequest request = Quick(1);
  request.columns = {{.name = "a"}, {.name = "c", .role = ColumnRole::kCondition}};
  const auto model = Train(request, table);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(model->report.warnings, Contains(HasSubstr("condition 'c' has one value")));
}

// Each category is an input of every network.
TEST(ConditionalTrainingTest, CategoriesCountAmongTheParameters) {
  Rows<double> table = NormalTable(400, 2, 5);
  for (int r = 0; r < 400; ++r) table(r, 1) = r % 200;
  TrainRequest request = Quick(1);
  request.flow.stack = {.layers = 2, .hidden_sizes = std::vector<int>{32, 32, 32}};
  request.columns = {{.name = "a"}, {.name = "c", .role = ColumnRole::kCondition}};
  request.max_parameters = 15000;
  EXPECT_TRUE(Train(request, table).ok());
  request.columns[1].type = ColumnType::kCategorical;
  const absl::Status status = Train(request, table).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(DetailOf(status).field, "flow");
  request.max_parameters = 60000;
  EXPECT_TRUE(Train(request, table).ok());
}

TEST(ConditionalTrainingTest, ATableOfConditionsAloneIsRefused) {
  TrainRequest request = Quick(1);
  request.columns = {{.name = "c", .role = ColumnRole::kCondition}};
  EXPECT_EQ(Train(request, NormalTable(100, 1, 5)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace millrace
