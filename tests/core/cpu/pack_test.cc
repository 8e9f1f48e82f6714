// SPDX-License-Identifier: Apache-2.0
// The vectorised functions against libm in double, over the range their comments promise.
#include "core/cpu/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

namespace millrace {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// function(x) where x stands in `lane`. One piece of code for all lanes: two inlined copies of a
// formula may fuse other multiplications with additions.
template <typename Function>
[[gnu::noipa]] float InLane(Function&& function, float x, int lane) {
  Pack p(1.0f);
  p.v[lane] = x;
  return function(p).v[lane];
}

// The distance of two floats, one given exactly, in units of the last place of the latter's binade;
// below the normal range the smallest normal's unit is used.
double UlpDistance(float actual, double exact) {
  const int exponent = std::max(std::ilogb(exact == 0.0 ? double{FLT_MIN} : exact), -126);
  return std::fabs(actual - exact) / std::ldexp(1.0, exponent - 23);
}

// The largest UlpDistance over floats of [low, high], `step` bit patterns apart.
template <typename Function, typename Exact>
double WorstUlps(float low, float high, std::int32_t step, Function&& function, Exact&& exact) {
  double worst = 0.0;
  const auto visit = [&](float begin,
                         float end) {  // 0 <= begin <= end or begin <= end < 0: by magnitude
    const auto from = std::bit_cast<std::int32_t>(std::fabs(begin));
    const auto to = std::bit_cast<std::int32_t>(std::fabs(end));
    const float sign = std::signbit(begin) ? -1.0f : 1.0f;
    std::int64_t bits = from;
    while (bits <= to) {
      Pack x(begin);
      for (int lane = 0; lane < Pack::kWidth && bits <= to; ++lane, bits += step)
        x.v[lane] = sign * std::bit_cast<float>(static_cast<std::int32_t>(bits));
      const Pack y = function(x);
      for (int lane = 0; lane < Pack::kWidth; ++lane)
        worst = std::max(worst, UlpDistance(y.v[lane], exact(double{x.v[lane]})));
    }
  };
  if (low < 0) visit(-std::max(0.0f, -std::min(high, 0.0f)), low);
  if (high >= 0) visit(std::max(low, 0.0f), high);
  return worst;
}

// A prime, so that every bit of the mantissa varies: some millions of values a sweep.
constexpr std::int32_t kStep = 211;

TEST(PackTest, ExpIsWithinTwoUlps) {
  EXPECT_LE(WorstUlps(
                -87.3f, 88.3f, kStep, [](Pack x) { return Exp(x); },
                [](double x) { return std::exp(x); }),
            2.0);
}

TEST(PackTest, ExpIsFiniteAndPositiveEverywhereElse) {
  for (const float x : {-kInfinity, -FLT_MAX, -1e6f, -104.0f, 89.0f, 1e6f, FLT_MAX, kInfinity}) {
    const float y = InLane([](Pack p) { return Exp(p); }, x, 0);
    EXPECT_TRUE(std::isfinite(y)) << x;
    EXPECT_GT(y, 0.0f) << x;
  }
  EXPECT_EQ(InLane([](Pack p) { return Exp(p); }, 0.0f, 0), 1.0f);
  EXPECT_TRUE(std::isnan(InLane([](Pack p) { return Exp(p); }, kNaN, 0)));
}

TEST(PackTest, LogIsWithinTwoUlps) {
  EXPECT_LE(WorstUlps(
                FLT_MIN, FLT_MAX, kStep, [](Pack x) { return Log(x); },
                [](double x) { return std::log(x); }),
            2.0);
}

TEST(PackTest, LogOutsideItsDomain) {
  const auto log = [](Pack p) { return Log(p); };
  EXPECT_EQ(InLane(log, 1.0f, 0), 0.0f);
  EXPECT_EQ(InLane(log, 0.0f, 0), -kInfinity);
  EXPECT_EQ(InLane(log, kInfinity, 0), kInfinity);
  EXPECT_TRUE(std::isnan(InLane(log, -1.0f, 0)));
  EXPECT_TRUE(std::isnan(InLane(log, kNaN, 0)));
}

TEST(PackTest, CbrtIsWithinOneUlp) {
  EXPECT_LE(WorstUlps(
                -FLT_MAX, FLT_MAX, kStep, [](Pack x) { return Cbrt(x); },
                [](double x) { return std::cbrt(x); }),
            1.0);
}

TEST(PackTest, CbrtOutsideTheFiniteNumbers) {
  const auto cbrt = [](Pack p) { return Cbrt(p); };
  EXPECT_EQ(InLane(cbrt, 0.0f, 0), 0.0f);
  EXPECT_EQ(InLane(cbrt, kInfinity, 0), kInfinity);
  EXPECT_EQ(InLane(cbrt, -kInfinity, 0), -kInfinity);
  EXPECT_TRUE(std::isnan(InLane(cbrt, kNaN, 0)));
}

TEST(PackTest, TanhIsWithinThreeUlps) {
  EXPECT_LE(WorstUlps(
                -FLT_MAX, FLT_MAX, kStep, [](Pack x) { return Tanh(x); },
                [](double x) { return std::tanh(x); }),
            3.0);
}

TEST(PackTest, TanhStaysInsideOneAndKeepsNaN) {
  const auto tanh = [](Pack p) { return Tanh(p); };
  EXPECT_EQ(InLane(tanh, kInfinity, 0), 1.0f);
  EXPECT_EQ(InLane(tanh, -kInfinity, 0), -1.0f);
  EXPECT_EQ(InLane(tanh, 0.0f, 0), 0.0f);
  EXPECT_TRUE(std::isnan(InLane(tanh, kNaN, 0)));
}

TEST(PackTest, SineAndCosineOfTurns) {
  const double turn = 2 * std::numbers::pi;
  for (int i = 0; i <= 1 << 22; i += Pack::kWidth) {
    Pack x(0.0f);
    for (int lane = 0; lane < Pack::kWidth; ++lane)
      x.v[lane] = std::ldexp(static_cast<float>(i + lane), -22);
    const Pack sine = SinTurn(x);
    const Pack cosine = CosTurn(x);
    for (int lane = 0; lane < Pack::kWidth; ++lane) {
      ASSERT_NEAR(sine.v[lane], std::sin(turn * x.v[lane]), 2e-7) << x.v[lane];
      ASSERT_NEAR(cosine.v[lane], std::cos(turn * x.v[lane]), 2e-7) << x.v[lane];
    }
  }
}

TEST(PackTest, SqrtIsExact) {
  EXPECT_LE(WorstUlps(
                0.0f, FLT_MAX, 100 * kStep, [](Pack x) { return Sqrt(x); },
                [](double x) { return std::sqrt(x); }),
            0.5 + 1e-6);
}

// A row may stand in any lane.
TEST(PackTest, EveryLaneGivesTheSameBits) {
  const auto bits = [](float x) { return std::bit_cast<std::uint32_t>(x); };
  for (const float x : {-40.0f, -1.3f, -0.4f, 1e-40f, 0.1f, 0.624f, 0.7f, 12.5f, 80.0f}) {
    for (int lane = 1; lane < Pack::kWidth; ++lane) {
      const auto same = [&](auto&& function) {
        EXPECT_EQ(bits(InLane(function, x, lane)), bits(InLane(function, x, 0)))
            << x << " " << lane;
      };
      same([](Pack p) { return Exp(p); });
      same([](Pack p) { return Log(Abs(p)); });
      same([](Pack p) { return Cbrt(p); });
      same([](Pack p) { return Tanh(p); });
      same([](Pack p) { return SinTurn(p); });
      same([](Pack p) { return CosTurn(p); });
    }
  }
}

TEST(PackTest, SelectAndAbs) {
  Pack x(0.0f);
  for (int lane = 0; lane < Pack::kWidth; ++lane) x.v[lane] = static_cast<float>(lane - 2);
  const Pack chosen = Select(x > Pack(0.0f), x, Pack(-9.0f));
  const Pack magnitude = Abs(x);
  for (int lane = 0; lane < Pack::kWidth; ++lane) {
    EXPECT_EQ(chosen.v[lane], lane > 2 ? static_cast<float>(lane - 2) : -9.0f);
    EXPECT_EQ(magnitude.v[lane], std::fabs(static_cast<float>(lane - 2)));
  }
}

TEST(PackTest, AnyIsTrueWhereOneLaneIs) {
  EXPECT_FALSE(Any(Pack(0.0f) > Pack(0.0f)));
  for (int lane = 0; lane < Pack::kWidth; ++lane) {
    Pack x(0.0f);
    x.v[lane] = 1.0f;
    EXPECT_TRUE(Any(x > Pack(0.0f))) << lane;
  }
}

}  // namespace
}  // namespace millrace
