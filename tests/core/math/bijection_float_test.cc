// SPDX-License-Identifier: Apache-2.0
// What holds for every scalar bijection in float, one by one and in packs: as accurate as floats
// allow, and finite for every value and every parameter.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <random>
#include <vector>

#include "tests/core/math/formula_cases.h"

namespace millrace {
namespace {

class BijectionFloatTest : public testing::TestWithParam<FormulaCase> {};

INSTANTIATE_TEST_SUITE_P(Formulas, BijectionFloatTest, testing::ValuesIn(FormulaCases()),
                         [](const auto& instance) { return instance.param.name; });

float Lane(float value) { return value; }
float Lane(Pack pack) { return pack.v[3]; }

// Within what rounding x costs z, and z x, where parameters are not so large that bins are
// ill-conditioned.
template <typename T>
void ExpectAgreesWithDouble(const FormulaCase& c) {
  for (const FormulaPoint& p : RandomPoints(c, 200)) {
    if (std::any_of(p.theta.begin(), p.theta.end(), [](double t) { return std::fabs(t) > 3; }))
      continue;
    const auto theta = ConvertTheta<T>(p.theta);
    const auto near = [](double actual, double expected, double tolerance) {
      EXPECT_LE(std::fabs(actual - expected), tolerance * std::max(1.0, std::fabs(expected)));
    };
    const Mapped<double> z = c.On<double>().forward(p.x, p.theta.data());
    const Mapped<T> z_float = c.On<T>().forward(T(static_cast<float>(p.x)), theta.data());
    const double slope = std::max(1.0, std::exp(z.log_det));
    near(Lane(z_float.value), z.value, 1e-5 * slope);
    near(Lane(z_float.log_det), z.log_det, 2e-4);
    const auto z_given = static_cast<float>(z.value);
    const Mapped<double> x = c.On<double>().inverse(z_given, p.theta.data());
    const Mapped<T> x_float = c.On<T>().inverse(T(z_given), theta.data());
    near(Lane(x_float.value), x.value, 1e-5 * std::max(1.0, std::exp(x.log_det)));
    near(Lane(x_float.log_det), x.log_det, 2e-3);
  }
}

TEST_P(BijectionFloatTest, FloatsAgreeWithDoubles) { ExpectAgreesWithDouble<float>(GetParam()); }
TEST_P(BijectionFloatTest, PacksAgreeWithDoubles) { ExpectAgreesWithDouble<Pack>(GetParam()); }

// Parameters all alike, alternating, and mixed at random; of every size.
std::vector<std::vector<float>> ExtremeThetas(int parameters) {
  std::vector<std::vector<float>> thetas = {std::vector<float>(parameters + 1, 0.0f)};
  std::mt19937_64 random(3);
  for (const float size : {FLT_TRUE_MIN, 50.0f, 1e4f, 1e30f}) {
    std::vector<float> all(parameters + 1, size), alternating(all), mixed(all);
    for (std::size_t k = 0; k < all.size(); k += 2) alternating[k] = -size;
    for (float& value : mixed)
      value = size * std::uniform_real_distribution<float>(-1.0f, 1.0f)(random);
    thetas.insert(thetas.end(), {all, alternating, mixed});
    for (float& value : all) value = -value;
    thetas.push_back(all);
  }
  return thetas;
}

template <typename T>
void ExpectFinite(const FormulaCase& c) {
  const FormulaOn<T>& f = c.On<T>();
  for (const auto& numbers : ExtremeThetas(c.parameters)) {
    std::vector<T> theta, theta_bar(numbers.size());
    for (const float number : numbers) theta.push_back(T(number));
    const auto expect_finite_bars = [&](T bar) {
      EXPECT_TRUE(std::isfinite(Lane(bar)));
      for (int k = 0; k < c.parameters; ++k) EXPECT_TRUE(std::isfinite(Lane(theta_bar[k]))) << k;
    };
    for (const float x : {-1e30f, -1e3f, -5.0f, -1.0f, -1e-3f, -FLT_TRUE_MIN, 0.0f, FLT_TRUE_MIN,
                          1e-3f, 0.5f, 1.0f, 5.0f, 1e3f, 1e30f}) {
      SCOPED_TRACE(testing::Message() << x << " with theta[0] " << numbers[0]);
      const Mapped<T> z = f.forward(T(x), theta.data());
      EXPECT_TRUE(std::isfinite(Lane(z.value)) && std::isfinite(Lane(z.log_det)));
      EXPECT_TRUE(Lane(z.value) >= c.range.low && Lane(z.value) <= c.range.high);
      expect_finite_bars(f.adjoint(T(x), theta.data(), T(1.0f), T(-1.0f), theta_bar.data()));
      const Mapped<T> back = f.inverse(T(x), theta.data());
      EXPECT_TRUE(std::isfinite(Lane(back.value)) && std::isfinite(Lane(back.log_det)));
      EXPECT_TRUE(Lane(back.value) >= c.domain.low && Lane(back.value) <= c.domain.high);
      // The inverse's adjoint is asked for where it arrives; between components that are far apart
      // that of a mixture has no slope that is a number.
      if (Lane(f.forward(back.value, theta.data()).log_det) > -50.0f)
        expect_finite_bars(
            f.adjoint_solve(back.value, theta.data(), T(1.0f), T(-1.0f), theta_bar.data()));
    }
  }
}

TEST_P(BijectionFloatTest, FloatsStayFinite) { ExpectFinite<float>(GetParam()); }
TEST_P(BijectionFloatTest, PacksStayFinite) { ExpectFinite<Pack>(GetParam()); }

// A bad row is told by its log-density, so it must not be mapped into the data.
TEST_P(BijectionFloatTest, NotANumberStaysOne) {
  const std::vector<float> theta(GetParam().parameters + 1, 0.5f);
  const std::vector<Pack> pack_theta(theta.size(), Pack(0.5f));
  EXPECT_TRUE(std::isnan(GetParam().On<float>().forward(NAN, theta.data()).value));
  EXPECT_TRUE(std::isnan(GetParam().On<float>().inverse(NAN, theta.data()).value));
  EXPECT_TRUE(std::isnan(Lane(GetParam().On<Pack>().forward(Pack(NAN), pack_theta.data()).value)));
  EXPECT_TRUE(std::isnan(Lane(GetParam().On<Pack>().inverse(Pack(NAN), pack_theta.data()).value)));
}

}  // namespace
}  // namespace millrace
