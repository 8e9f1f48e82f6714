// SPDX-License-Identifier: Apache-2.0
// What holds for every scalar bijection, in double: its log-determinant, inverse and adjoint
// against dual numbers.
#include "core/math/bijection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/core/math/formula_cases.h"

namespace millrace {
namespace {

class BijectionTest : public testing::TestWithParam<FormulaCase> {
 protected:
  const FormulaOn<double>& formula() const { return GetParam().On<double>(); }
  const FormulaOn<Dual>& dual() const { return GetParam().On<Dual>(); }
};

INSTANTIATE_TEST_SUITE_P(Formulas, BijectionTest, testing::ValuesIn(FormulaCases()),
                         [](const auto& instance) { return instance.param.name; });

// |actual - expected| in units of max(1, |expected|).
double Deviation(double actual, double expected) {
  return std::fabs(actual - expected) / std::max(1.0, std::fabs(expected));
}

TEST_P(BijectionTest, LogDetIsLogOfSlope) {
  for (const FormulaPoint& p : RandomPoints(GetParam(), 200)) {
    const auto theta = ConvertTheta<Dual>(p.theta);
    const Mapped<Dual> z = dual().forward(Variable(p.x), theta.data());
    EXPECT_LE(Deviation(z.log_det.value, std::log(z.value.slope)), 1e-11) << p.x;
    const Mapped<Dual> x = dual().inverse(Variable(z.value.value), theta.data());
    EXPECT_LE(Deviation(x.log_det.value, std::log(x.value.slope)), 1e-8) << p.x;
  }
}

TEST_P(BijectionTest, InverseUndoesForward) {
  for (const FormulaPoint& p : RandomPoints(GetParam(), 200)) {
    const Mapped<double> z = formula().forward(p.x, p.theta.data());
    const Mapped<double> x = formula().inverse(z.value, p.theta.data());
    // What rounding z costs x.
    const double rounding = 1e-14 * std::max(1.0, std::fabs(z.value)) * std::exp(-z.log_det);
    EXPECT_LE(std::fabs(x.value - p.x), 1e-12 * std::max(1.0, std::fabs(p.x)) + rounding);
    EXPECT_LE(Deviation(x.log_det, -z.log_det), 1e-8) << p.x;
  }
}

TEST_P(BijectionTest, AdjointAgreesWithDualNumbers) {
  for (const FormulaPoint& p : RandomPoints(GetParam(), 50)) {
    std::vector<double> theta_bar(p.theta.size() + 1, 99.0);
    const double x_bar =
        formula().adjoint(p.x, p.theta.data(), p.z_bar, p.log_det_bar, theta_bar.data());
    std::vector<Dual> theta = ConvertTheta<Dual>(p.theta);
    const auto loss_slope = [&](Dual x) {
      const Mapped<Dual> z = dual().forward(x, theta.data());
      return p.z_bar * z.value.slope + p.log_det_bar * z.log_det.slope;
    };
    EXPECT_LE(Deviation(x_bar, loss_slope(Variable(p.x))), 1e-12) << p.x;
    for (std::size_t k = 0; k < p.theta.size(); ++k) {
      theta[k] = Variable(p.theta[k]);
      EXPECT_LE(Deviation(theta_bar[k], loss_slope(Dual(p.x))), 1e-12) << k << " at " << p.x;
      theta[k] = Dual(p.theta[k]);
    }
    EXPECT_EQ(theta_bar.back(), 99.0) << "written beyond its end";
  }
}

TEST_P(BijectionTest, AdjointSolveUndoesAdjoint) {
  for (const FormulaPoint& p : RandomPoints(GetParam(), 50)) {
    std::vector<double> solved(p.theta.size() + 1), adjoint(p.theta.size() + 1);
    const double z_bar =
        formula().adjoint_solve(p.x, p.theta.data(), p.z_bar, p.log_det_bar, solved.data());
    EXPECT_LE(
        Deviation(formula().adjoint(p.x, p.theta.data(), z_bar, p.log_det_bar, adjoint.data()),
                  p.z_bar),
        1e-10)
        << p.x;
    EXPECT_EQ(solved, adjoint);
  }
}

TEST_P(BijectionTest, AdjointIsLinearInTheBars) {
  for (const FormulaPoint& p : RandomPoints(GetParam(), 20)) {
    std::vector<double> both(p.theta.size() + 1), z_part(both), log_det_part(both);
    const double* theta = p.theta.data();
    const double x_bar =
        formula().adjoint(p.x, theta, 2.0 * p.z_bar, -3.0 * p.log_det_bar, both.data());
    const double sum = 2.0 * formula().adjoint(p.x, theta, p.z_bar, 0.0, z_part.data()) -
                       3.0 * formula().adjoint(p.x, theta, 0.0, p.log_det_bar, log_det_part.data());
    EXPECT_LE(Deviation(x_bar, sum), 1e-12);
    for (std::size_t k = 0; k < p.theta.size(); ++k)
      EXPECT_LE(Deviation(both[k], 2.0 * z_part[k] - 3.0 * log_det_part[k]), 1e-12) << k;
  }
}

TEST_P(BijectionTest, IncreasesBothWaysAndStaysInRange) {
  const Interval points = GetParam().points;
  for (const FormulaPoint& p : RandomPoints(GetParam(), 3)) {
    double z_before = -std::numeric_limits<double>::infinity();
    double x_before = z_before;
    constexpr int kSteps = 2000;
    for (int i = 0; i <= kSteps; ++i) {
      const double x = points.low + (points.high - points.low) * i / kSteps;
      const double z = formula().forward(x, p.theta.data()).value;
      const double back = formula().inverse(z, p.theta.data()).value;
      ASSERT_GT(z, z_before) << x;
      ASSERT_GT(back, x_before) << x;
      ASSERT_TRUE(z >= GetParam().range.low && z <= GetParam().range.high) << z;
      z_before = z;
      x_before = back;
    }
  }
}

TEST_P(BijectionTest, IsTheIdentityAtThetaZero) {
  if (!GetParam().identity_at_zero) return;
  const std::vector<double> theta(GetParam().parameters + 1);
  const auto float_theta = ConvertTheta<float>(theta);
  for (const FormulaPoint& p : RandomPoints(GetParam(), 200)) {
    const Mapped<double> z = formula().forward(p.x, theta.data());
    EXPECT_LE(Deviation(z.value, p.x), 1e-14);
    EXPECT_LE(std::fabs(z.log_det), 1e-14);
    const auto x = static_cast<float>(p.x);
    const Mapped<float> narrow = GetParam().On<float>().forward(x, float_theta.data());
    EXPECT_LE(Deviation(narrow.value, p.x), 5e-7);
    EXPECT_LE(std::fabs(narrow.log_det), 2e-6);
  }
}

}  // namespace
}  // namespace millrace
