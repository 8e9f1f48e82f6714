// SPDX-License-Identifier: Apache-2.0
#include "core/flow/flow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/flow/architectures.h"
#include "tests/support/engines.h"
#include "tests/support/numeric.h"
#include "tests/support/random_parameters.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

using testing::HasSubstr;

struct NamedSpec {
  std::string name;
  FlowSpec spec;
  friend std::ostream& operator<<(std::ostream& out, const NamedSpec& s) { return out << s.name; }
};

FlowSpec Spec(int dim, int context_dim, StackSpec maf) {
  return {.dim = dim, .context_dim = context_dim, .seed = 17, .stack = std::move(maf)};
}

std::vector<NamedSpec> Specs() {
  return {
      {"Default", Spec(5, 0, {.hidden_sizes = {20, 20}})},
      {"OneColumn", Spec(1, 0, {.layers = 3, .hidden_sizes = {8}})},
      {"OneColumnContext",
       Spec(1, 3, {.layers = 2, .hidden_sizes = {8}, .activation = Activation::kTanh})},
      {"Residual", Spec(7, 0,
                        {.layers = 3,
                         .hidden_sizes = {16, 16, 16},
                         .residual = true,
                         .mixing = Mixing::kLu,
                         .act_norm = true,
                         .whiten = true})},
      {"ContextRandom", Spec(6, 2,
                             {.layers = 4,
                              .hidden_sizes = {24, 12},
                              .mixing = Mixing::kRandom,
                              .activation = Activation::kElu,
                              .act_norm = true})},
      {"Wide",
       Spec(43, 0, {.layers = 2, .hidden_sizes = {30, 30}, .activation = Activation::kTanh})},
      {"Gaussian", Spec(6, 0, {.layers = 0, .whiten = true})},
      {"HeavyTails", Spec(4, 0, {.layers = 2, .hidden_sizes = {9}, .heavy_tails = true})},
  };
}

class FlowTest : public testing::TestWithParam<NamedSpec> {
 protected:
  FlowTest() : flow_(*Flow::Create(GetParam().spec)), random_(2) {}

  Point RandomPoint(int rows) {
    return {RandomParameters(*flow_, 8), RandomRows(random_, rows, flow_->dim()),
            RandomRows(random_, rows, flow_->spec().context_dim)};
  }

  std::shared_ptr<const Flow> flow_;
  std::mt19937_64 random_;
};

TEST_P(FlowTest, LogProbIsBaseDensityAndLogDet) {
  const Point point = RandomPoint(9);
  for (const Engine& engine : AllEngines()) {
    const Image z = Apply(*engine.kernels, *flow_, Direction::kForward, point);
    const std::vector<double> log_prob = LogProb(*engine.kernels, *flow_, point);
    for (int r = 0; r < 9; ++r) {
      double expected = z.log_det[r] - 0.5 * flow_->dim() * std::log(2 * std::numbers::pi);
      for (int c = 0; c < flow_->dim(); ++c) expected -= 0.5 * z.rows(r, c) * z.rows(r, c);
      EXPECT_NEAR(log_prob[r], expected, 1e-9 * std::max(1.0, std::fabs(expected))) << engine.name;
    }
  }
}

TEST_P(FlowTest, InverseUndoesForward) {
  const Point point = RandomPoint(33);
  for (const Engine& engine : AllEngines()) {
    const Image z = Apply(*engine.kernels, *flow_, Direction::kForward, point);
    const Image x = Apply(*engine.kernels, *flow_, Direction::kInverse,
                          {point.parameters, z.rows, point.context});
    EXPECT_LE(MaxAbsDifference(Values(x.rows), Values(point.rows)), engine.value_tolerance * 10)
        << engine.name;
    for (int r = 0; r < 33; ++r)
      EXPECT_NEAR(x.log_det[r], -z.log_det[r], engine.value_tolerance * 10) << engine.name;
  }
}

// The gradient of a weighted sum of log-densities against central differences in double: within
// 1e-6 of the largest in double, 1e-4 in float.
TEST_P(FlowTest, GradientsAgreeWithDifferences) {
  constexpr int kRows = 6;
  constexpr std::size_t kProbes = 300;
  constexpr double kStep = 1e-6;
  Point point = RandomPoint(kRows);
  std::vector<double> bar(kRows);
  for (double& b : bar) b = RandomNormal(random_);
  const auto loss = [&] {
    const std::vector<double> log_prob = LogProb(*PlainEngine().kernels, *flow_, point);
    return std::inner_product(bar.begin(), bar.end(), log_prob.begin(), 0.0);
  };
  std::vector<Derivatives> actual;
  for (const Engine& engine : AllEngines())
    actual.push_back(LogProbAdjoint(*engine.kernels, *flow_, point, bar));
  const auto check = [&](double* variables, std::size_t size, auto&& derivatives) {
    std::vector<std::size_t> chosen(size);
    std::iota(chosen.begin(), chosen.end(), 0);
    std::shuffle(chosen.begin(), chosen.end(), random_);
    chosen.resize(std::min(size, kProbes));
    for (const std::size_t i : chosen) {
      const double exact = CentralDifference(variables[i], kStep, loss);
      for (std::size_t e = 0; e < actual.size(); ++e) {
        const std::span<const double> d = derivatives(actual[e]);
        ASSERT_NEAR(d[i], exact, AllEngines()[e].gradient_tolerance * MaxAbs(d))
            << i << " of " << size;
      }
    }
  };
  check(point.parameters.data(), point.parameters.size(),
        [](const Derivatives& d) { return std::span<const double>(d.parameters); });
  check(point.rows.data(), Values(point.rows).size(),
        [](const Derivatives& d) { return Values(d.rows); });
  check(point.context.data(), Values(point.context).size(),
        [](const Derivatives& d) { return Values(d.context); });
}

TEST_P(FlowTest, FloatAgreesWithDouble) {
  const Point point = RandomPoint(65);
  const std::vector<double> exact = LogProb(*PlainEngine().kernels, *flow_, point);
  const std::vector<double> actual = LogProb(*CpuEngine().kernels, *flow_, point);
  for (int r = 0; r < 65; ++r)
    EXPECT_NEAR(actual[r], exact[r], 1e-4 * std::max(1.0, std::fabs(exact[r])));
}

TEST_P(FlowTest, StartsAsAStandardNormal) {
  Point point = RandomPoint(5);
  point.parameters = InitialParameters(*flow_);
  const std::vector<double> log_prob = LogProb(*PlainEngine().kernels, *flow_, point);
  for (int r = 0; r < 5; ++r) {
    double expected = -0.5 * flow_->dim() * std::log(2 * std::numbers::pi);
    for (int c = 0; c < flow_->dim(); ++c) expected -= 0.5 * point.rows(r, c) * point.rows(r, c);
    EXPECT_NEAR(log_prob[r], expected, 1e-12 * std::fabs(expected));
  }
}

INSTANTIATE_TEST_SUITE_P(All, FlowTest, testing::ValuesIn(Specs()),
                         [](const auto& tested) { return tested.param.name; });

TEST(FlowStructureTest, NamesOfParametersAreStable) {
  const auto flow = *Flow::Create(Spec(
      3, 2,
      {.layers = 2, .hidden_sizes = {4}, .mixing = Mixing::kLu, .act_norm = true, .whiten = true}));
  std::vector<std::string> names;
  for (const auto& entry : flow->layout().entries()) names.push_back(entry.name);
  EXPECT_THAT(names, testing::UnorderedElementsAre(
                         "0.lu.lower", "0.lu.upper", "0.lu.log_diagonal", "0.lu.bias",
                         "1.act_norm.theta", "2.made.hidden.0.weight", "2.made.hidden.0.bias",
                         "2.made.output.weight", "2.made.output.bias", "2.made.context.weight",
                         "4.lu.lower", "4.lu.upper", "4.lu.log_diagonal", "4.lu.bias",
                         "5.act_norm.theta", "6.made.hidden.0.weight", "6.made.hidden.0.bias",
                         "6.made.output.weight", "6.made.output.bias", "6.made.context.weight"));
}

TEST(FlowStructureTest, InitialParametersAreAFunctionOfTheSpec) {
  FlowSpec spec = Spec(4, 0, {.layers = 2, .hidden_sizes = {8}});
  const std::vector<double> values = InitialParameters(**Flow::Create(spec));
  EXPECT_EQ(values, InitialParameters(**Flow::Create(spec)));
  spec.seed = 18;
  EXPECT_NE(values, InitialParameters(**Flow::Create(spec)));
}

TEST(FlowStructureTest, IsTriangularOnlyInColumnOrder) {
  const auto triangular = [](StackSpec maf, int dim = 4) {
    const auto flow = *Flow::Create(Spec(dim, 0, std::move(maf)));
    return flow->IsTriangular(AsFloats(RandomParameters(*flow, 1)).span());
  };
  EXPECT_TRUE(triangular({.mixing = Mixing::kNone, .act_norm = true}));
  EXPECT_TRUE(triangular({.layers = 1, .mixing = Mixing::kReverse}));
  EXPECT_TRUE(triangular({.layers = 2, .mixing = Mixing::kReverse}, 1));
  EXPECT_FALSE(triangular({.layers = 2, .mixing = Mixing::kReverse}));
  EXPECT_FALSE(triangular({.layers = 3, .mixing = Mixing::kReverse}));
  EXPECT_FALSE(triangular({.layers = 2, .mixing = Mixing::kLu}));
  EXPECT_FALSE(triangular({.layers = 1, .mixing = Mixing::kNone, .whiten = true}));
}

// A linear layer whose U is diagonal keeps the order: so does one that whitens and is not trained.
TEST(FlowStructureTest, IsTriangularWhileNothingStandsAboveTheDiagonal) {
  const auto flow = *Flow::Create(Spec(3, 0, {.layers = 0, .whiten = true}));
  ParameterValues parameters = flow->InitialParameters();
  const Moments moments{{1, 2, 3}, {2, 1, 0.5, 1, 2, 0.3, 0.5, 0.3, 1}};
  flow->transforms()[0]->InitialiseFromMoments(moments, parameters.span());
  EXPECT_TRUE(flow->IsTriangular(parameters.span()));
  const auto upper =
      std::ranges::find(flow->layout().entries(), "0.lu.upper", &ParameterLayout::Entry::name);
  parameters[upper->slice.offset + 1] = 1e-30f;
  EXPECT_FALSE(flow->IsTriangular(parameters.span()));
}

TEST(FlowStructureTest, RefusesSpecsThatContradictThemselves) {
  const auto refused = [](FlowSpec spec, const std::string& says) {
    const absl::Status status = Validate(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(says));
    EXPECT_EQ(Flow::Create(spec).status(), status);
  };
  refused(Spec(0, 0, {}), "dim: 0");
  refused(Spec(-3, 0, {}), "dim: -3");
  refused(Spec(4097, 0, {}), "dim: 4097");
  refused(Spec(3, -1, {}), "context_dim: -1");
  refused(Spec(3, 5000, {}), "context_dim: 5000");
  FlowSpec none;
  none.dim = 3;
  refused(none, "architecture");
  refused(Spec(3, 0, {.layers = -1}), "layers: -1");
  refused(Spec(3, 0, {.layers = 65}), "layers: 65");
  refused(Spec(3, 0, {.hidden_sizes = {}}), "hidden_sizes");
  refused(Spec(3, 0, {.hidden_sizes = std::vector<int>(17, 4)}), "hidden_sizes");
  refused(Spec(3, 0, {.hidden_sizes = {8, 0}}), "hidden_sizes: 0");
  refused(Spec(3, 0, {.hidden_sizes = {8193}}), "hidden_sizes: 8193");
  // One unit cannot show the context to the first column and the columns to one another.
  refused(Spec(3, 1, {.hidden_sizes = {8, 1}}), "hidden_sizes: 1");
  refused(Spec(3, 0, {.hidden_sizes = {8, 8}, .residual = true}), "residual");
  refused(Spec(3, 0, {.hidden_sizes = {8, 8, 9}, .residual = true}), "residual");
}

TEST(FlowStructureTest, RefusesFlowsThatWouldNotFit) {
  const auto flow =
      Flow::Create(Spec(4096, 0, {.layers = 64, .hidden_sizes = std::vector<int>(16, 8192)}));
  EXPECT_EQ(flow.status().code(), absl::StatusCode::kResourceExhausted);
}

// Rows of one weight take 16 floats.
TEST(FlowStructureTest, CountsPadding) {
  const FlowSpec spec = Spec(4096, 0, {.layers = 30, .hidden_sizes = {1}});
  const auto flow = Flow::Create(spec);
  ASSERT_TRUE(flow.ok()) << flow.status();
  const auto size = static_cast<double>((*flow)->layout().size());
  EXPECT_GT(size, 5.0 * static_cast<double>((*flow)->layout().count()));
  EXPECT_NEAR(EstimateParameters(spec), size, 0.05 * size);
}

TEST(FlowStructureTest, CountsProducts) {
  // Products of a row beyond those of formulas, and parameters.
  const auto count = [](const LayerSpec& layer) {
    const auto flow = *Flow::Create({.dim = 5, .chain = {{layer}}});
    EXPECT_GE(flow->ProductsOfRow(), 5 * 32);
    return std::pair(flow->ProductsOfRow() - 5 * 32, std::ssize(flow->InitialParameters().span()));
  };
  const auto [products, parameters] = count({.linear = LinearLayer{}});
  EXPECT_EQ(products, parameters);
  EXPECT_EQ(count({.permutation = PermutationLayer{}}).first, 0);
  // A pass of the network for each column of the determinant, and for each step to the inverse.
  for (const bool inverse : {false, true}) {
    const auto [of_residual, weights] = count({.residual = ResidualLayer{}, .inverse = inverse});
    EXPECT_EQ(of_residual, (5 + 1000) * weights);
  }
}

TEST(FlowStructureTest, RefusesLayersOutOfRange) {
  const auto refused = [](const LayerSpec& layer, int dim, const char* what) {
    const auto flow = Flow::Create({.dim = dim, .chain = {{layer}}});
    EXPECT_EQ(flow.status().code(), absl::StatusCode::kInvalidArgument) << what;
    EXPECT_THAT(std::string(flow.status().message()), HasSubstr(what));
  };
  LayerSpec rotation{.linear = LinearLayer{LinearLayer::Start::kRotation}};
  refused(rotation, LinearLayer::kMaxRotationDim + 1, "linear.start: a rotation of 513 columns");
  EXPECT_TRUE(Flow::Create({.dim = 5, .chain = {{rotation}}}).ok());
  ResidualLayer wide;
  wide.network.hidden_sizes = {8, 1025};
  refused({.residual = wide}, 3, "residual.network.hidden_sizes: 1025");
  const auto stack = Flow::Create(
      Spec(3, 0, {.architecture = Architecture::kResidual, .hidden_sizes = {8, 1025}}));
  EXPECT_THAT(std::string(stack.status().message()), HasSubstr("flow.stack.hidden_sizes: 1025"));
  refused({.linear = LinearLayer{LinearLayer::Start::kWhiten}, .inverse = true}, 3, "inverse");
  refused({.norm = NormLayer{false}, .inverse = true}, 3, "inverse");
  refused({.norm = NormLayer{true}, .inverse = true}, 3, "inverse");
  EXPECT_TRUE(
      Flow::Create({.dim = 3, .chain = {{{.linear = LinearLayer{}, .inverse = true}}}}).ok());
  refused({.permutation = PermutationLayer{.draw = 1001}}, 3, "permutation.draw: 1001");
  refused({.permutation = PermutationLayer{.draw = -1}}, 3, "permutation.draw: -1");
  refused({.coupling = CouplingLayer{.draw = 1001}}, 3, "coupling.draw: 1001");
  refused({.elementwise = ScalarBijection{ScalarBijection::Kind::kStandardise}}, 3, "standardise");
}

}  // namespace
}  // namespace millrace
