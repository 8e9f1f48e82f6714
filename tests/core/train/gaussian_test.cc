// SPDX-License-Identifier: Apache-2.0
// The Gaussian that models are measured against, and the sums they are measured by.
#include "core/train/gaussian.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/train/nats.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

ColumnModel Columns(const Rows<double>& table) {
  std::vector<ColumnSpec> specs(table.cols());
  for (int c = 0; c < table.cols(); ++c) specs[c].name = "c" + std::to_string(c);
  return *ColumnModel::Fit(specs, table.view());
}

TEST(GaussianTest, IsTheMaximumLikelihoodNormalInTheUsersUnits) {
  Rows<double> table = NormalTable(300, 2, 1);
  for (int r = 0; r < 300; ++r) {
    table(r, 1) = 1000.0 + 50.0 * (0.6 * table(r, 0) + 0.8 * table(r, 1));
    table(r, 0) = 0.01 * table(r, 0);
  }
  double m[2] = {}, s[3] = {};
  for (int r = 0; r < 300; ++r)
    for (int c = 0; c < 2; ++c) m[c] += table(r, c) / 300;
  for (int r = 0; r < 300; ++r) {
    const double a = table(r, 0) - m[0], b = table(r, 1) - m[1];
    s[0] += a * a / 300, s[1] += a * b / 300, s[2] += b * b / 300;
  }
  const double determinant = s[0] * s[2] - s[1] * s[1];
  const ColumnModel columns = Columns(table);
  const std::vector<double> log_prob =
      Gaussian::Fit(columns, table.view(), {})->LogProb(table.view());
  for (int r = 0; r < 300; ++r) {
    const double a = table(r, 0) - m[0], b = table(r, 1) - m[1];
    const double exact = -std::log(2 * std::numbers::pi) - 0.5 * std::log(determinant) -
                         0.5 * (s[2] * a * a - 2 * s[1] * a * b + s[0] * b * b) / determinant;
    EXPECT_NEAR(log_prob[r], exact, 1e-9);
  }
}

// The points of a lattice, a bin each, have no more than all the mass.
TEST(GaussianTest, IsADensityOverBinsToo) {
  for (const double rare : {0.5, 0.1, 0.02}) {
    Rows<double> table(1000, 1);
    for (int r = 0; r < 1000; ++r) table(r, 0) = r < rare * 1000 ? 1.0 : 0.0;
    const ColumnModel columns = Columns(table);
    ASSERT_EQ(columns.columns()[0].type, ColumnType::kDiscrete);
    Rows<double> lattice(2, 1);
    lattice(1, 0) = 1.0;
    const std::vector<double> log_prob =
        Gaussian::Fit(columns, table.view(), {})->LogProb(lattice.view());
    EXPECT_LE(std::exp(log_prob[0]) + std::exp(log_prob[1]), 1.0) << rare;
    EXPECT_GT(std::exp(log_prob[0]) + std::exp(log_prob[1]), 0.8) << rare;
  }
}

TEST(GaussianTest, CollinearColumnsStayFinite) {
  Rows<double> table = NormalTable(50, 3, 2);
  for (int r = 0; r < 50; ++r) table(r, 2) = table(r, 0) - 2.0 * table(r, 1);
  const ColumnModel columns = Columns(table);
  for (const double value : Gaussian::Fit(columns, table.view(), {})->LogProb(table.view()))
    EXPECT_TRUE(std::isfinite(value));
}

TEST(GaussianTest, StopsWhenAsked) {
  const Rows<double> table = NormalTable(50, 3, 2);
  const ColumnModel columns = Columns(table);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(Gaussian::Fit(columns, table.view(), stop.get_token()).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(NatsTest, MeanAndStandardError) {
  const Nats nats = NatsOf(std::vector<double>{1.0, -kInfinity, 2.0, 6.0}, 10.0);
  EXPECT_EQ(nats.rows, 3);
  EXPECT_DOUBLE_EQ(nats.mean, 13.0);
  EXPECT_DOUBLE_EQ(nats.standard_error, std::sqrt((4.0 + 1.0 + 9.0) / 2.0 / 3.0));
  EXPECT_EQ(NatsOf(std::vector<double>{-kInfinity}, 1.0), Nats{});
  EXPECT_EQ(NatsOf(std::vector<double>{4.0}, 0.0), (Nats{1, 4.0, 0.0}));
}

TEST(NatsTest, AnImpossibleRowOutweighsAllOthers) {
  const std::vector<double> flow = {1.0, 2.0, 3.0}, gaussian = {0.0, 0.0, 3.0};
  EXPECT_DOUBLE_EQ(Advantage(flow, gaussian).mean, 1.0);
  EXPECT_EQ(Advantage(flow, gaussian).rows, 3);
  EXPECT_EQ(Advantage(std::vector<double>{1e9, -kInfinity, 3.0}, gaussian).mean, -kInfinity);
  EXPECT_DOUBLE_EQ(Advantage(std::vector<double>{1.0, -kInfinity, 3.0},
                             std::vector<double>{0.0, -kInfinity, 0.0})
                       .mean,
                   2.0);
}

}  // namespace
}  // namespace millrace
