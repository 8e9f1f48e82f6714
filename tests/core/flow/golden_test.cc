// SPDX-License-Identifier: Apache-2.0
// Flows against values from elsewhere: tests/golden/flow_model.py, an independent implementation in
// NumPy, and other libraries with the same weights (tests/golden/peers_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/flow/architectures.h"
#include "tests/core/flow/golden_case.h"
#include "tests/support/engines.h"
#include "tests/support/numeric.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

void ExpectClose(std::span<const double> actual, std::span<const double> expected, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], tolerance * std::max(1.0, std::fabs(expected[i])))
        << what << " " << i;
}

double Dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

std::span<const double> OfEntry(const Slice& slice, const std::vector<double>& values) {
  return std::span(values).subspan(slice.offset, slice.extent());
}

// Of the mean log-density along the directions of tests/golden/flow_golden.py.
void ExpectDerivatives(const Engine& engine, const GoldenCase& golden, double tolerance) {
  const Point& point = golden.point();
  const int rows = point.rows.rows();
  const std::uint64_t seed = golden.seed() + 1;
  const Derivatives gradient =
      LogProbAdjoint(*engine.kernels, golden.flow(), point, std::vector<double>(rows, 1.0 / rows));
  const std::vector<double> along = golden.Direction(seed);
  std::vector<double> actual, expected;
  for (const auto& [name, slice, decays, statistic, gain] : golden.flow().layout().entries()) {
    if (statistic) continue;
    actual.push_back(Dot(OfEntry(slice, gradient.parameters), OfEntry(slice, along)));
    expected.push_back(golden.derivative(name));
  }
  const Rows<double> along_x = golden.Direction(seed, 0, rows, point.rows.cols());
  actual.push_back(Dot(Values(gradient.rows), Values(along_x)));
  expected.push_back(golden.derivative("x"));
  if (point.context.cols() > 0) {
    const Rows<double> along_context = golden.Direction(seed, 1, rows, point.context.cols());
    actual.push_back(Dot(Values(gradient.context), Values(along_context)));
    expected.push_back(golden.derivative("context"));
  }
  ExpectClose(actual, expected, tolerance, "derivative");
}

// Fractions of max(1, |value|): images and log-densities; inverses, which multiply what rounding
// took from z; derivatives, of which the golden ones are differences.
struct Tolerances {
  double value, inverse, derivative;
};

Tolerances TolerancesOf(const Engine& engine) {
  if (engine.kernels->element_size() == sizeof(float)) return {1e-5, 1e-4, 1e-4};
  return {1e-10, 1e-9, 1e-7};
}

// z and log_det.
void ExpectForward(const Engine& engine, const GoldenCase& golden) {
  const double tolerance = TolerancesOf(engine).value;
  const Image z = Apply(*engine.kernels, golden.flow(), Direction::kForward, golden.point());
  ExpectClose(Values(z.rows), Values(golden.rows("z", golden.flow().dim())), tolerance, "z");
  ExpectClose(z.log_det, golden.numbers("log_det"), tolerance, "log_det");
}

void ExpectLogProb(const Engine& engine, const GoldenCase& golden) {
  ExpectClose(LogProb(*engine.kernels, golden.flow(), golden.point()), golden.numbers("log_prob"),
              TolerancesOf(engine).value, "log_prob");
}

TEST(GoldenTest, IndependentImplementation) {
  const auto cases = ReadGoldenCases("flow_golden.json");
  ASSERT_GE(cases.size(), 64u);
  for (const auto& json : cases) {
    const GoldenCase golden(json);
    const int dim = golden.flow().dim();
    for (const Engine& engine : AllEngines()) {
      SCOPED_TRACE(golden.name() + " " + engine.name);
      const Tolerances within = TolerancesOf(engine);
      ExpectForward(engine, golden);
      ExpectLogProb(engine, golden);
      const Image x =
          Apply(*engine.kernels, golden.flow(), Direction::kInverse,
                {golden.point().parameters, golden.rows("z", dim), golden.point().context});
      ExpectClose(Values(x.rows), Values(golden.point().rows), within.inverse, "inverse");
      ExpectDerivatives(engine, golden, within.derivative);
    }
  }
}

TEST(GoldenTest, NoArchitectureBijectionOrBaseIsLeftOut) {
  std::set<Architecture> architectures;
  std::set<ScalarBijection::Kind> bijections;
  std::set<BaseSpec::Kind> bases;
  for (const auto& json : ReadGoldenCases("flow_golden.json")) {
    const GoldenCase golden(json);
    const FlowSpec& spec = golden.flow().spec();
    bases.insert(spec.base.kind);
    if (spec.stack) architectures.insert(spec.stack->architecture);
    for (const LayerSpec& layer : ChainOf(spec)) {
      if (layer.autoregressive) bijections.insert(layer.autoregressive->bijection.kind);
      if (layer.coupling) bijections.insert(layer.coupling->bijection.kind);
      if (layer.elementwise) bijections.insert(layer.elementwise->kind);
      // What normalises by running statistics has no name of its own on the wire.
      if (layer.norm && layer.norm->batch) bijections.insert(ScalarBijection::Kind::kStandardise);
    }
  }
  EXPECT_EQ(architectures.size(), AllArchitectures().size());
  EXPECT_EQ(static_cast<int>(bijections.size()),
            1 + static_cast<int>(ScalarBijection::Kind::kInverseRationalQuadratic));
  EXPECT_EQ(static_cast<int>(bases.size()), 1 + static_cast<int>(BaseSpec::Kind::kNormalMixture));
}

TEST(GoldenTest, OtherLibraries) {
  const auto cases = ReadGoldenCases("peers_golden.json");
  ASSERT_GE(cases.size(), 30u);
  for (const auto& json : cases) {
    const GoldenCase golden(json);
    for (const Engine& engine : AllEngines()) {
      SCOPED_TRACE(golden.name() + " " + engine.name);
      if (golden.has("z")) ExpectForward(engine, golden);
      ExpectLogProb(engine, golden);
    }
  }
}

}  // namespace
}  // namespace millrace
