// SPDX-License-Identifier: Apache-2.0
// Laws of whole flows: every architecture over every base it may end in, with and without a
// condition.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/flow/architectures.h"
#include "core/flow/flow.h"
#include "core/io/flow_json.h"
#include "tests/support/engines.h"
#include "tests/support/numeric.h"
#include "tests/support/random_parameters.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

constexpr int kDim = 3;
constexpr int kRows = 9;

struct FlowCase {
  std::string name;
  FlowSpec spec;
  friend std::ostream& operator<<(std::ostream& out, const FlowCase& c) { return out << c.name; }
};

const std::pair<const char*, BaseSpec> kBases[] = {
    {"StandardNormal", {.kind = BaseSpec::Kind::kStandardNormal}},
    {"DiagonalNormal", {.kind = BaseSpec::Kind::kDiagonalNormal}},
    {"Uniform", {.kind = BaseSpec::Kind::kUniform}},
    {"Logistic", {.kind = BaseSpec::Kind::kLogistic}},
    {"StudentT", {.kind = BaseSpec::Kind::kStudentT}},
    {"NormalMixture", {.kind = BaseSpec::Kind::kNormalMixture, .components = 3}},
};

StackSpec SmallStack(Architecture architecture) {
  const bool residual = architecture != Architecture::kResidual;
  return {.architecture = architecture,
          .layers = TraitsOf(architecture).one_layer ? 1 : 2,
          .hidden_sizes = std::vector<int>(residual ? 3 : 2, 8),
          .residual = residual,
          .mixing = Mixing::kLu,
          .activation = Activation::kTanh,
          .act_norm = true,
          .whiten = true,
          .heavy_tails = true,
          .bins = 4,
          .bound = 3.0,
          .components = 3,
          .width = 2};
}

// On images of even and odd sizes, one and two channels.
void AddImageCases(Architecture architecture, std::vector<FlowCase>& cases) {
  std::string name = NameOf(architecture);
  std::erase(name, '-');
  const auto add = [&](const std::string& what, ImageShape image, int levels, int context_dim,
                       const auto& change) {
    StackSpec stack{.architecture = architecture,
                    .layers = 2,
                    .hidden_sizes = {5, 5, 5},
                    .activation = Activation::kTanh,
                    .levels = levels};
    FlowSpec spec{.dim = image.height * image.width * image.channels,
                  .context_dim = context_dim,
                  .seed = 3,
                  .image = image,
                  .stack = stack};
    change(spec);
    cases.push_back({name + what, spec});
  };
  const auto as_it_is = [](FlowSpec&) {};
  add("TwoLevels", {4, 4, 1}, 2, 0, as_it_is);
  add("OddSizes", {3, 5, 2}, 1, 0, as_it_is);
  add("Conditional", {2, 4, 1}, 1, 2, as_it_is);
  add("BatchNorm", {4, 2, 1}, 1, 0, [](FlowSpec& spec) { spec.stack->batch_norm = true; });
  add("Residual", {2, 4, 2}, 1, 0, [](FlowSpec& spec) { spec.stack->residual = true; });
  add("WeightNorm", {4, 2, 2}, 1, 0,
      [](FlowSpec& spec) { spec.stack->residual = spec.stack->weight_norm = true; });
  add("Additive", {4, 2, 1}, 1, 0, [](FlowSpec& spec) { spec.stack->additive = true; });
  add("StudentT", {4, 2, 1}, 1, 0,
      [](FlowSpec& spec) { spec.base.kind = BaseSpec::Kind::kStudentT; });
}

std::vector<FlowCase> FlowCases() {
  std::vector<FlowCase> cases;
  for (const Architecture architecture : AllArchitectures()) {
    if (TraitsOf(architecture).image) {
      AddImageCases(architecture, cases);
      continue;
    }
    std::string name = NameOf(architecture);
    std::erase(name, '-');
    for (const auto& [base_name, base] : kBases) {
      for (const int context_dim : {0, 2}) {
        if (context_dim > 0 && !TraitsOf(architecture).network) continue;
        FlowSpec spec{.dim = kDim,
                      .context_dim = context_dim,
                      .seed = 3,
                      .stack = SmallStack(architecture),
                      .base = base};
        if (base.kind == BaseSpec::Kind::kUniform) {
          // The same layers, and what brings their values onto (0, 1).
          spec.chain = ChainOf(spec);
          spec.stack.reset();
          spec.chain->emplace_back().elementwise = {ScalarBijection::Kind::kSigmoid};
        }
        cases.push_back({name + base_name + (context_dim > 0 ? "Conditional" : ""), spec});
      }
    }
    FlowSpec normed{.dim = kDim, .seed = 3, .stack = SmallStack(architecture)};
    normed.stack->batch_norm = true;
    cases.push_back({name + "BatchNorm", normed});
  }
  return cases;
}

class ArchitectureLawsTest : public testing::TestWithParam<FlowCase> {
 protected:
  ArchitectureLawsTest() : flow_(*Flow::Create(GetParam().spec)) {
    point_ = {RandomParameters(*flow_, 4), RandomRows(random_, kRows, dim()),
              RandomRows(random_, kRows, GetParam().spec.context_dim)};
  }

  int dim() const { return GetParam().spec.dim; }

  std::mt19937_64 random_{8};
  std::shared_ptr<const Flow> flow_;
  Point point_;
};

TEST_P(ArchitectureLawsTest, InverseUndoesForward) {
  for (const Engine& engine : AllEngines()) {
    for (const auto& parameters : {InitialParameters(*flow_), point_.parameters}) {
      const Point point{parameters, point_.rows, point_.context};
      const Image latent = Apply(*engine.kernels, *flow_, Direction::kForward, point);
      const Image back = Apply(*engine.kernels, *flow_, Direction::kInverse,
                               {parameters, latent.rows, point_.context});
      EXPECT_LE(MaxAbsDifference(Values(back.rows), Values(point_.rows)),
                30 * engine.value_tolerance)
          << engine.name;
      for (int r = 0; r < kRows; ++r)
        EXPECT_NEAR(latent.log_det[r] + back.log_det[r], 0.0, 30 * engine.value_tolerance)
            << engine.name;
    }
  }
}

TEST_P(ArchitectureLawsTest, LogProbBackwardIsTheAdjoint) {
  const std::vector<double> bar(kRows, 1.0);
  const auto loss = [&] {
    double sum = 0.0;
    for (const double v : LogProb(*PlainEngine().kernels, *flow_, point_)) sum += v;
    return sum;
  };
  const Derivatives exact = LogProbAdjoint(*PlainEngine().kernels, *flow_, point_, bar);
  const double scale = std::max(1.0, MaxAbs(exact.parameters));
  std::uniform_int_distribution<std::size_t> any(0, point_.parameters.size() - 1);
  for (const ParameterLayout::Entry& entry : flow_->layout().entries()) {
    if (entry.statistic) continue;
    for (int probe = 0; probe < 3; ++probe) {
      const std::size_t i = entry.slice.offset + any(random_) % entry.slice.extent();
      EXPECT_NEAR(exact.parameters[i], CentralDifference(point_.parameters[i], 1e-6, loss),
                  1e-5 * scale)
          << entry.name;
    }
  }
  for (double* value : {point_.rows.data(), point_.rows.data() + kRows * dim() - 1}) {
    const auto i = static_cast<std::size_t>(value - point_.rows.data());
    EXPECT_NEAR(exact.rows.data()[i], CentralDifference(*value, 1e-6, loss),
                1e-5 * std::max(1.0, MaxAbs(Values(exact.rows))));
  }
  const Derivatives single = LogProbAdjoint(*CpuEngine().kernels, *flow_, point_, bar);
  EXPECT_LE(MaxAbsDifference(single.parameters, exact.parameters), 1e-3 * scale);
}

// What rounding may change in log p(x): each of its terms in the last places, and as much as it
// changes where x moves by as little.
std::vector<double> ConditionOfLogProb(const Flow& flow, const Point& point,
                                       std::span<const double> log_prob) {
  const Derivatives slope = LogProbAdjoint(*PlainEngine().kernels, flow, point,
                                           std::vector<double>(log_prob.size(), 1.0));
  std::vector<double> condition;
  for (int r = 0; r < point.rows.rows(); ++r) {
    condition.push_back(1.0 + std::fabs(log_prob[r]));
    for (int c = 0; c < point.rows.cols(); ++c)
      condition.back() += (1.0 + std::fabs(point.rows(r, c))) * std::fabs(slope.rows(r, c));
  }
  return condition;
}

// Every sample is finite and its reported density is LogProb's, which is exact.
TEST_P(ArchitectureLawsTest, SamplesReportTheirDensity) {
  constexpr int kDraws = 150;
  const int context_dim = GetParam().spec.context_dim;
  const Kernels& plain = *PlainEngine().kernels;
  Point at{point_.parameters, Rows<double>(kDraws, dim()),
           RandomRows(random_, context_dim > 0 ? kDraws : 0, context_dim)};
  const auto expect_exact = [&](const std::vector<double>& actual, double tolerance) {
    const std::vector<double> exact = LogProb(plain, *flow_, at);
    const std::vector<double> condition = ConditionOfLogProb(*flow_, at, exact);
    for (int r = 0; r < kDraws; ++r) {
      for (int c = 0; c < dim(); ++c) ASSERT_TRUE(std::isfinite(at.rows(r, c))) << r;
      ASSERT_NEAR(actual[r], exact[r], tolerance * condition[r]) << r;
    }
  };
  const Image drawn = Sample(plain, *flow_, 5, at);
  at.rows = drawn.rows;
  expect_exact(drawn.log_det, 1e-11);

  const auto backend = CreateCpuBackend({.threads = 2});
  const auto weights = *backend->Upload(flow_, AsFloats(point_.parameters).span());
  Rows<float> context(at.context.rows(), context_dim);
  std::copy_n(at.context.data(), context.rows() * context_dim, context.data());
  Rows<float> rows(kDraws, dim());
  std::vector<double> reported(kDraws), computed(kDraws);
  ASSERT_TRUE(backend->Sample(*weights, 5, 0, 1.0, context.view(), rows.view(), reported, {}).ok());
  ASSERT_TRUE(backend->LogProb(*weights, rows.view(), context.view(), computed, {}).ok());
  std::copy_n(rows.data(), kDraws * dim(), at.rows.data());
  expect_exact(reported, 1e-5);
  expect_exact(computed, 1e-5);
}

// The log-determinant is that of the whole map, linear layers and norms included.
TEST_P(ArchitectureLawsTest, LogDetIsThatOfTheJacobian) {
  const Kernels& plain = *PlainEngine().kernels;
  const Image at = Apply(plain, *flow_, Direction::kForward, point_);
  std::vector<Rows<double>> jacobians(kRows, Rows<double>(dim(), dim()));
  for (int c = 0; c < dim(); ++c) {
    constexpr double kStep = 1e-5;
    Point above = point_, below = point_;
    for (int r = 0; r < kRows; ++r) {
      above.rows(r, c) += kStep;
      below.rows(r, c) -= kStep;
    }
    const Image high = Apply(plain, *flow_, Direction::kForward, above);
    const Image low = Apply(plain, *flow_, Direction::kForward, below);
    for (int r = 0; r < kRows; ++r)
      for (int i = 0; i < dim(); ++i)
        jacobians[r](i, c) = (high.rows(r, i) - low.rows(r, i)) / (2 * kStep);
  }
  for (int r = 0; r < kRows; ++r)
    EXPECT_NEAR(at.log_det[r], LogAbsDeterminant(jacobians[r]), 1e-6) << r;
}

TEST_P(ArchitectureLawsTest, SpecsSurviveTheModelFile) {
  FlowSpec spec = GetParam().spec, read;
  JsonReader reader;
  reader.Read(ParseJson(FlowToJson(spec), 10), read);
  ASSERT_TRUE(reader.status().ok()) << reader.status();
  EXPECT_EQ(read, spec);
}

INSTANTIATE_TEST_SUITE_P(All, ArchitectureLawsTest, testing::ValuesIn(FlowCases()),
                         [](const auto& tested) { return tested.param.name; });

// Conditions reach every column, the first in order above all, which no other column reaches.
TEST(ConditionalFlowTest, EveryColumnDependsOnEveryColumnOfTheCondition) {
  for (const Architecture architecture : AllArchitectures()) {
    const StackTraits traits = TraitsOf(architecture);
    if (!traits.network) continue;
    for (const int dim : traits.image ? std::vector{4, 12} : std::vector{1, 2, kDim}) {
      FlowSpec spec{.dim = dim, .context_dim = 2, .seed = 3, .stack = SmallStack(architecture)};
      // What is left at the end depends on the condition, and a single level leaves all.
      if (traits.image) spec.image = {2, dim / 2, 1};
      spec.stack->levels = 1;
      // Nothing that mixes columns. One layer, so that no column has its dependence from another's;
      // of couplings two, as one leaves half of the columns as they are.
      spec.stack->whiten = false;
      spec.stack->mixing = Mixing::kNone;
      spec.stack->layers = traits.coupling ? 2 : 1;
      const auto flow = *Flow::Create(spec);
      std::mt19937_64 random(6);
      const Point point{RandomParameters(*flow, 4), RandomRows(random, kRows, dim),
                        RandomRows(random, kRows, 2)};
      const Kernels& plain = *PlainEngine().kernels;
      const Image image = Apply(plain, *flow, Direction::kForward, point);
      for (int k = 0; k < 2; ++k) {
        Point other = point;
        for (int r = 0; r < kRows; ++r) other.context(r, k) += 1.0;
        const Image moved = Apply(plain, *flow, Direction::kForward, other);
        for (int c = 0; c < dim; ++c) {
          double most = 0.0;
          for (int r = 0; r < kRows; ++r)
            most = std::max(most, std::fabs(moved.rows(r, c) - image.rows(r, c)));
          EXPECT_GT(most, 1e-3) << NameOf(architecture) << " of " << dim << " columns, column " << c
                                << ", condition's column " << k;
        }
      }
    }
  }
}

FlowSpec ThirtyTwoCouplings() {
  return {.dim = 19,
          .seed = 1,
          .stack = StackSpec{.architecture = Architecture::kRealNvp,
                             .layers = 32,
                             .hidden_sizes = {24, 24},
                             .activation = Activation::kTanh}};
}

// Such flows, their scales an unbounded exponential, gave infinities elsewhere (normflows#73): here
// networks ask for log-scales of some twenty in each layer.
TEST(DeepFlowTest, ThirtyTwoCouplingsOfStrongScalesStayFinite) {
  const auto flow = *Flow::Create(ThirtyTwoCouplings());
  const auto backend = CreateCpuBackend({.threads = 1});
  std::vector<double> parameters = RandomParameters(*flow, 2);
  for (double& v : parameters) v *= 30.0;
  const auto weights = *backend->Upload(flow, AsFloats(parameters).span());
  constexpr int kDraws = 128;
  Rows<float> rows(kDraws, 19);
  std::vector<double> reported(kDraws), computed(kDraws);
  ASSERT_TRUE(backend->Sample(*weights, 3, 0, 1.0, {}, rows.view(), reported, {}).ok());
  ASSERT_TRUE(backend->LogProb(*weights, rows.view(), {}, computed, {}).ok());
  for (int i = 0; i < kDraws * 19; ++i) ASSERT_TRUE(std::isfinite(rows.data()[i])) << i;
  for (int r = 0; r < kDraws; ++r) {
    ASSERT_TRUE(std::isfinite(reported[r])) << r;
    ASSERT_TRUE(std::isfinite(computed[r])) << r;
  }
}

TEST(DeepFlowTest, ThirtyTwoCouplingsStayFiniteInTraining) {
  const auto flow = *Flow::Create(ThirtyTwoCouplings());
  const auto backend = CreateCpuBackend({.threads = 1});
  TrainState state;
  state.parameters = flow->InitialParameters();
  const auto session = *backend->StartTraining(flow, state);
  std::mt19937_64 random(1);
  Rows<float> rows(128, 19);
  for (int step = 0; step < 60; ++step) {
    for (int r = 0; r < 128; ++r)
      for (int c = 0; c < 19; ++c)
        rows(r, c) = static_cast<float>(RandomNormal(random, c % 4 == 0 ? 5.0 : 1.0));
    const auto gradient = session->ComputeGradient(rows.view(), {});
    ASSERT_TRUE(std::isfinite(gradient.loss)) << step;
    ASSERT_TRUE(std::isfinite(gradient.gradient_norm)) << step;
    session->Step({.learning_rate = 2e-3, .gradient_scale = 5.0 / (5.0 + gradient.gradient_norm)});
  }
  const TrainState trained = session->Save();
  const auto weights = *backend->Upload(flow, trained.parameters.span());
  std::vector<double> log_prob(128);
  ASSERT_TRUE(backend->Sample(*weights, 3, 0, 1.0, {}, rows.view(), log_prob, {}).ok());
  for (std::int64_t i = 0; i < 128 * 19; ++i) ASSERT_TRUE(std::isfinite(rows.data()[i])) << i;
  for (const double v : log_prob) ASSERT_TRUE(std::isfinite(v));
}

}  // namespace
}  // namespace millrace
