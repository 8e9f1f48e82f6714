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

std::vector<FlowCase> FlowCases() {
  std::vector<FlowCase> cases;
  for (const Architecture architecture : AllArchitectures()) {
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
  }
  return cases;
}

class ArchitectureLawsTest : public testing::TestWithParam<FlowCase> {
 protected:
  ArchitectureLawsTest() : flow_(*Flow::Create(GetParam().spec)) {
    point_ = {RandomParameters(*flow_, 4), RandomRows(random_, kRows, kDim),
              RandomRows(random_, kRows, GetParam().spec.context_dim)};
  }

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
  for (double* value : {point_.rows.data(), point_.rows.data() + kRows * kDim - 1}) {
    const auto i = static_cast<std::size_t>(value - point_.rows.data());
    EXPECT_NEAR(exact.rows.data()[i], CentralDifference(*value, 1e-6, loss),
                1e-5 * std::max(1.0, MaxAbs(Values(exact.rows))));
  }
  const Derivatives single = LogProbAdjoint(*CpuEngine().kernels, *flow_, point_, bar);
  EXPECT_LE(MaxAbsDifference(single.parameters, exact.parameters), 1e-3 * scale);
}

// A sample's reported density is that of LogProb, whatever the batch.
TEST_P(ArchitectureLawsTest, SamplesReportTheirDensity) {
  const auto backend = CreateCpuBackend({.threads = 2});
  const auto weights = *backend->Upload(flow_, AsFloats(point_.parameters).span());
  const int context_dim = GetParam().spec.context_dim;
  constexpr int kDraws = 150;
  Rows<float> context(context_dim > 0 ? kDraws : 0, context_dim);
  for (std::int64_t i = 0; i < context.rows() * context_dim; ++i)
    context.data()[i] = static_cast<float>(RandomNormal(random_, 1.0));
  Rows<float> rows(kDraws, kDim);
  std::vector<double> reported(kDraws), computed(kDraws);
  ASSERT_TRUE(backend->Sample(*weights, 5, 0, 1.0, context.view(), rows.view(), reported, {}).ok());
  ASSERT_TRUE(backend->LogProb(*weights, rows.view(), context.view(), computed, {}).ok());
  std::vector<double> off;
  for (int r = 0; r < kDraws; ++r)
    off.push_back(std::fabs(reported[r] - computed[r]) / (1.0 + std::fabs(computed[r])));
  std::ranges::sort(off);
  // Single precision loses a few far-off rows.
  EXPECT_LT(off[kDraws * 9 / 10], 1e-3);
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

// Such flows, their scales an unbounded exponential, gave infinities elsewhere (normflows#73).
TEST(DeepFlowTest, ThirtyTwoCouplingsOfNineteenColumnsStayFinite) {
  const auto flow = *Flow::Create(
      {.dim = 19,
       .seed = 1,
       .stack = StackSpec{
           .architecture = Architecture::kRealNvp, .layers = 32, .hidden_sizes = {24, 24}}});
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
}

}  // namespace
}  // namespace millrace
