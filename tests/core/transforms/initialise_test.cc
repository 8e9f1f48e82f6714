// SPDX-License-Identifier: Apache-2.0
// Data-dependent initialisation: what the moments of the inputs are turned into.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "core/transforms/act_norm.h"
#include "core/transforms/batch_norm.h"
#include "core/transforms/lu_linear.h"
#include "core/transforms/permutation.h"
#include "core/transforms/plu_linear.h"
#include "tests/support/engines.h"
#include "tests/support/numeric.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

constexpr int kRows = 400;
constexpr int kDim = 5;

Moments MomentsOf(const Rows<double>& rows) {
  const int dim = rows.cols();
  Moments m{std::vector<double>(dim), std::vector<double>(dim * dim)};
  for (int r = 0; r < rows.rows(); ++r)
    for (int i = 0; i < dim; ++i) m.mean[i] += rows(r, i) / rows.rows();
  for (int r = 0; r < rows.rows(); ++r)
    for (int i = 0; i < dim; ++i)
      for (int j = 0; j < dim; ++j)
        m.covariance[i * dim + j] +=
            (rows(r, i) - m.mean[i]) * (rows(r, j) - m.mean[j]) / rows.rows();
  return m;
}

// Correlated rows, far from the origin, with scales from 1e-2 to 1e2.
Rows<double> Correlated(int rows) {
  std::mt19937_64 random(3);
  Rows<double> x = RandomRows(random, rows, kDim);
  for (int r = 0; r < rows; ++r)
    for (int c = kDim - 1; c >= 0; --c) {
      double mixed = x(r, c);
      for (int k = 0; k < c; ++k) mixed += 0.8 * x(r, k);
      x(r, c) = static_cast<float>(std::pow(10.0, c - 2) * (mixed + c - 2));
    }
  return x;
}

std::vector<double> Initialised(const Transform& transform, const ParameterLayout& layout,
                                const Moments& moments) {
  ParameterValues values(layout.size());
  transform.Initialise(1, values.span());
  transform.InitialiseFromMoments(moments, values.span());
  return {values.data(), values.data() + values.size()};
}

TEST(InitialiseTest, ActNormStandardisesEachColumn) {
  ParameterLayout layout;
  const ActNorm act_norm(kDim, "a.", layout);
  ASSERT_TRUE(act_norm.WantsMoments());
  const Rows<double> x = Correlated(kRows);
  const auto parameters = Initialised(act_norm, layout, MomentsOf(x));
  const Image z = Apply(*PlainEngine().kernels, act_norm, Direction::kForward,
                        {parameters, x, Rows<double>(kRows, 0)});
  const Moments after = MomentsOf(z.rows);
  for (int i = 0; i < kDim; ++i) {
    EXPECT_NEAR(after.mean[i], 0.0, 1e-5);
    EXPECT_NEAR(after.covariance[i * kDim + i], 1.0, 1e-5);
  }
}

TEST(InitialiseTest, WhiteningMakesTheCovarianceTheIdentity) {
  ParameterLayout layout;
  const LuLinear whiten(kDim, true, "lu.", layout);
  ASSERT_TRUE(whiten.WantsMoments());
  const Rows<double> x = Correlated(kRows);
  const Moments before = MomentsOf(x);
  const auto parameters = Initialised(whiten, layout, before);
  const Image z = Apply(*PlainEngine().kernels, whiten, Direction::kForward,
                        {parameters, x, Rows<double>(kRows, 0)});
  const Moments after = MomentsOf(z.rows);
  Rows<double> covariance(kDim, kDim);
  for (int i = 0; i < kDim; ++i) {
    EXPECT_NEAR(after.mean[i], 0.0, 1e-4);
    for (int j = 0; j < kDim; ++j) {
      covariance(i, j) = before.covariance[i * kDim + j];
      EXPECT_NEAR(after.covariance[i * kDim + j], i == j ? 1.0 : 0.0, 1e-4) << i << " " << j;
    }
  }
  EXPECT_NEAR(z.log_det[0], -0.5 * LogAbsDeterminant(covariance), 1e-5);
}

TEST(InitialiseTest, BatchNormTakesItsStatisticsFromTheRows) {
  ParameterLayout layout;
  const BatchNorm batch_norm(kDim, "b.", layout);
  ASSERT_TRUE(batch_norm.WantsMoments());
  const Rows<double> x = Correlated(kRows);
  const auto parameters = Initialised(batch_norm, layout, MomentsOf(x));
  const Image z = Apply(*PlainEngine().kernels, batch_norm, Direction::kForward,
                        {parameters, x, Rows<double>(kRows, 0)});
  const Moments after = MomentsOf(z.rows);
  const Moments before = MomentsOf(x);
  for (int i = 0; i < kDim; ++i) {
    const double variance = before.covariance[i * kDim + i];
    EXPECT_NEAR(after.mean[i], 0.0, 1e-5);
    EXPECT_NEAR(after.covariance[i * kDim + i], variance / (variance + 1e-5), 1e-5);
  }
}

// A column that does not vary, or two that are equal, must not make anything infinite.
TEST(InitialiseTest, DegenerateMomentsStayFinite) {
  Moments moments{std::vector<double>(kDim, 2.0), std::vector<double>(kDim * kDim, 1.0)};
  for (int i = 0; i < kDim; ++i) moments.covariance[i] = moments.covariance[i * kDim] = 0.0;
  ParameterLayout layout;
  const ActNorm act_norm(kDim, "a.", layout);
  const LuLinear whiten(kDim, true, "lu.", layout);
  for (const Transform* transform :
       {static_cast<const Transform*>(&act_norm), static_cast<const Transform*>(&whiten)})
    for (const double v : Initialised(*transform, layout, moments)) EXPECT_TRUE(std::isfinite(v));
}

TEST(InitialiseTest, OrdinaryLinearLayersStartAsTheIdentity) {
  ParameterLayout layout;
  const LuLinear linear(kDim, false, "lu.", layout);
  EXPECT_FALSE(linear.WantsMoments());
  const Rows<double> x = Correlated(3);
  const std::vector<double> zeros(layout.size());
  const Image z =
      Apply(*PlainEngine().kernels, linear, Direction::kForward, {zeros, x, Rows<double>(3, 0)});
  EXPECT_EQ(MaxAbsDifference(Values(z.rows), Values(x)), 0.0);
  EXPECT_EQ(MaxAbs(z.log_det), 0.0);
}

TEST(InitialiseTest, PluLinearStartsAsARotationOfItsSeed) {
  for (const int dim : {1, 2, 5, 43}) {
    SCOPED_TRACE(dim);
    Rows<double> unit(dim, dim);
    for (int i = 0; i < dim; ++i) unit(i, i) = 1.0;
    const auto start = [&](std::uint64_t seed) {
      ParameterLayout layout;
      const PluLinear linear(dim, seed, "plu.", layout);
      ParameterValues values(layout.size());
      linear.Initialise(/*seed=*/77, values.span());
      return Apply(*PlainEngine().kernels, linear, Direction::kForward,
                   {{values.data(), values.data() + values.size()}, unit, Rows<double>(dim, 0)});
    };
    const Image z = start(1);
    EXPECT_LE(MaxAbs(z.log_det), 1e-5);
    double largest = 0.0;
    for (int i = 0; i < dim; ++i) {
      for (int j = 0; j < dim; ++j) {
        double product = 0.0;
        for (int c = 0; c < dim; ++c) product += z.rows(i, c) * z.rows(j, c);
        EXPECT_NEAR(product, i == j, 1e-5) << i << " " << j;
        if (i != j) largest = std::max(largest, std::fabs(z.rows(i, j)));
      }
    }
    if (dim == 1) continue;
    EXPECT_GT(largest, 0.1) << "close to the identity";
    EXPECT_EQ(MaxAbsDifference(Values(start(1).rows), Values(z.rows)), 0.0);
    EXPECT_GT(MaxAbsDifference(Values(start(2).rows), Values(z.rows)), 0.1);
  }
}

// Diagonals are exponentials of bounded logarithms: no parameter makes a linear layer singular,
// though it may leave a row no digits.
TEST(LinearLayersTest, ExtremeDiagonalsStayFinite) {
  ParameterLayout layouts[2];
  const LuLinear lu(kDim, false, "lu.", layouts[0]);
  const PluLinear plu(kDim, 4, "plu.", layouts[1]);
  std::mt19937_64 random(9);
  const Point rows{{}, RandomRows(random, 20, kDim), Rows<double>(20, 0)};
  for (const Transform* transform :
       {static_cast<const Transform*>(&lu), static_cast<const Transform*>(&plu)}) {
    const ParameterLayout& layout = layouts[transform == &plu];
    ParameterValues values(layout.size());
    transform->Initialise(1, values.span());
    const auto& entries = layout.entries();
    const auto diagonal = std::ranges::find_if(
        entries, [](const auto& entry) { return entry.name.ends_with("log_diagonal"); });
    ASSERT_NE(diagonal, entries.end());
    for (const float extreme : {FLT_MAX, -FLT_MAX, 100.0f, -100.0f})
      for (const float sign : {1.0f, -1.0f}) {
        for (int c = 0; c < kDim; ++c)
          values[diagonal->slice.offset + c] = c % 2 == 0 ? extreme : sign * extreme;
        for (const Engine& engine : AllEngines()) {
          SCOPED_TRACE(testing::Message() << engine.name << " " << extreme << " " << sign);
          const std::vector<double> parameters(values.data(), values.data() + values.size());
          const Image z = Apply(*engine.kernels, *transform, Direction::kForward,
                                {parameters, rows.rows, rows.context});
          const Image x = Apply(*engine.kernels, *transform, Direction::kInverse,
                                {parameters, z.rows, rows.context});
          for (int r = 0; r < 20; ++r) {
            EXPECT_TRUE(std::isfinite(z.log_det[r]) && std::isfinite(x.log_det[r]));
            EXPECT_NEAR(z.log_det[r], -x.log_det[r], 1e-3);
            for (int c = 0; c < kDim; ++c)
              EXPECT_TRUE(std::isfinite(z.rows(r, c)) && std::isfinite(x.rows(r, c)));
          }
        }
      }
  }
}

TEST(PermutationTest, IsWhatItSays) {
  EXPECT_EQ(Permutation::Reverse(4).order(), (std::vector<int>{3, 2, 1, 0}));
  const Permutation random = Permutation::Random(43, 1, 1);
  EXPECT_EQ(random.order(), Permutation::Random(43, 1, 1).order());
  EXPECT_NE(random.order(), Permutation::Random(43, 2, 1).order());
  EXPECT_NE(random.order(), Permutation::Random(43, 1, 2).order());
  std::vector<bool> seen(43);
  for (const int column : random.order()) seen.at(column) = true;
  EXPECT_EQ(seen, std::vector<bool>(43, true));

  const Permutation shift({2, 0, 1});
  Rows<double> x(1, 3);
  for (int c = 0; c < 3; ++c) x(0, c) = 10 + c;
  const Image z =
      Apply(*CpuEngine().kernels, shift, Direction::kForward, {{}, x, Rows<double>(1, 0)});
  EXPECT_EQ(z.rows(0, 0), 12);
  EXPECT_EQ(z.rows(0, 1), 10);
  EXPECT_EQ(z.rows(0, 2), 11);
}

}  // namespace
}  // namespace millrace
