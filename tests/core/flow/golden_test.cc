// SPDX-License-Identifier: Apache-2.0
// Flows against values from elsewhere: tests/golden/maf_model.py, an independent implementation in
// NumPy, and other libraries with the same weights (tests/golden/peers_golden.py).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/flow/flow.h"
#include "tests/support/engines.h"
#include "tests/support/numeric.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

using nlohmann::json;

json ReadCases(const std::string& file) {
  std::ifstream in(MILLRACE_SOURCE_DIR "/tests/golden/" + file);
  const json document = json::parse(in, nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(document.is_object()) << file;
  return document.value("cases", json::array());
}

FlowSpec SpecOf(const json& j) {
  static const std::map<std::string, Mixing> kMixings = {{"none", Mixing::kNone},
                                                         {"reverse", Mixing::kReverse},
                                                         {"random", Mixing::kRandom},
                                                         {"lu", Mixing::kLu}};
  static const std::map<std::string, Activation> kActivations = {
      {"identity", Activation::kIdentity},
      {"relu", Activation::kRelu},
      {"tanh", Activation::kTanh},
      {"elu", Activation::kElu}};
  const MafSpec maf{.layers = j.at("layers"),
                    .hidden_sizes = j.at("hidden_sizes"),
                    .residual = j.at("residual"),
                    .mixing = kMixings.at(j.at("mixing")),
                    .activation = kActivations.at(j.at("activation")),
                    .act_norm = j.at("act_norm"),
                    .whiten = j.at("whiten"),
                    .heavy_tails = j.value("heavy_tails", false)};
  return {.dim = j.at("dim"), .context_dim = j.at("context_dim"), .seed = j.at("seed"), .maf = maf};
}

Rows<double> RowsOf(const json& j, int cols) {
  Rows<double> rows(static_cast<int>(j.size()), cols);
  for (int r = 0; r < rows.rows(); ++r)
    for (int c = 0; c < cols; ++c) rows(r, c) = j.at(r).at(c);
  return rows;
}

// {name: row-major values} as one array in the flow's layout.
std::vector<double> ParametersOf(const json& j, const Flow& flow) {
  std::vector<double> values(flow.layout().size());
  EXPECT_EQ(j.size(), flow.layout().entries().size());
  for (const auto& [name, slice, decays] : flow.layout().entries()) {
    const json& given = j.at(name);
    EXPECT_EQ(given.size(), static_cast<std::size_t>(slice.rows) * slice.cols) << name;
    for (int r = 0; r < slice.rows; ++r)
      for (int c = 0; c < slice.cols; ++c)
        values[slice.offset + static_cast<std::size_t>(r) * slice.ld + c] =
            given.at(static_cast<std::size_t>(r) * slice.cols + c);
  }
  return values;
}

void ExpectClose(std::span<const double> actual, std::span<const double> expected, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], tolerance * std::max(1.0, std::fabs(expected[i])))
        << what << " " << i;
}

// Rounding of the kernels under test, as a fraction of max(1, |value|).
double Rounding(const Engine& engine) {
  return engine.kernels->element_size() == sizeof(float) ? 1e-5 : 1e-7;
}

TEST(GoldenTest, IndependentImplementation) {
  const json cases = ReadCases("maf_golden.json");
  ASSERT_GE(cases.size(), 6u);
  for (const json& golden : cases) {
    for (const Engine& engine : AllEngines()) {
      SCOPED_TRACE(golden.at("name").get<std::string>() + " " + engine.name);
      const FlowSpec spec = SpecOf(golden.at("spec"));
      const auto flow = *Flow::Create(spec);
      const Point point{ParametersOf(golden.at("parameters"), *flow),
                        RowsOf(golden.at("x"), spec.dim),
                        RowsOf(golden.at("context"), spec.context_dim)};
      const double rounding = Rounding(engine);
      const Image z = Apply(*engine.kernels, *flow, Direction::kForward, point);
      ExpectClose(Values(z.rows), Values(RowsOf(golden.at("z"), spec.dim)), rounding, "z");
      ExpectClose(z.log_det, golden.at("log_det").get<std::vector<double>>(), rounding, "log_det");
      ExpectClose(LogProb(*engine.kernels, *flow, point),
                  golden.at("log_prob").get<std::vector<double>>(), rounding, "log_prob");
      const Image x =
          Apply(*engine.kernels, *flow, Direction::kInverse,
                {point.parameters, RowsOf(golden.at("latent"), spec.dim), point.context});
      ExpectClose(Values(x.rows), Values(RowsOf(golden.at("inverse"), spec.dim)), 10 * rounding,
                  "inverse");
      const auto rows = static_cast<std::size_t>(point.rows.rows());
      const Derivatives gradient =
          LogProbAdjoint(*engine.kernels, *flow, point, std::vector<double>(rows, 1.0 / rows));
      ExpectClose(gradient.parameters, ParametersOf(golden.at("gradient"), *flow), 10 * rounding,
                  "gradient");
    }
  }
}

TEST(GoldenTest, OtherLibraries) {
  const json cases = ReadCases("peers_golden.json");
  ASSERT_GE(cases.size(), 4u);
  for (const json& golden : cases) {
    for (const Engine& engine : AllEngines()) {
      SCOPED_TRACE(golden.at("name").get<std::string>() + " " + engine.name);
      const FlowSpec spec = SpecOf(golden.at("spec"));
      const auto flow = *Flow::Create(spec);
      const Point point{ParametersOf(golden.at("parameters"), *flow),
                        RowsOf(golden.at("x"), spec.dim),
                        RowsOf(golden.at("context"), spec.context_dim)};
      ExpectClose(LogProb(*engine.kernels, *flow, point),
                  golden.at("log_prob").get<std::vector<double>>(), Rounding(engine), "log_prob");
    }
  }
}

}  // namespace
}  // namespace millrace
