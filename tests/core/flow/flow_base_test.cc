// SPDX-License-Identifier: Apache-2.0
// Flows that end in each base distribution, on the processor's backend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/flow/flow.h"
#include "tests/support/engines.h"
#include "tests/support/numeric.h"
#include "tests/support/random_parameters.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

using testing::HasSubstr;
using Kind = BaseSpec::Kind;

struct NamedBase {
  std::string name;
  BaseSpec base;
  std::vector<std::string> parameters;

  friend std::ostream& operator<<(std::ostream& out, const NamedBase& b) { return out << b.name; }
};

std::vector<NamedBase> Bases() {
  return {
      {"StandardNormal", {.kind = Kind::kStandardNormal}, {}},
      {"DiagonalNormal", {.kind = Kind::kDiagonalNormal}, {"base.location", "base.log_scale"}},
      {"Uniform", {.kind = Kind::kUniform, .low = 0.0, .high = 1.0}, {}},
      {"Logistic", {.kind = Kind::kLogistic}, {}},
      {"StudentT", {.kind = Kind::kStudentT}, {"base.location", "base.log_scale", "base.freedom"}},
      {"NormalMixture",
       {.kind = Kind::kNormalMixture, .components = 3},
       {"base.logits", "base.location", "base.log_scale"}},
  };
}

constexpr int kDim = 4;

// An autoregressive layer and, before a uniform, what brings its values onto (0, 1).
FlowSpec SpecOf(const BaseSpec& base) {
  std::vector<LayerSpec> chain(1);
  chain[0].autoregressive = {.network = {.hidden_sizes = {12}, .activation = Activation::kTanh}};
  if (base.kind == Kind::kUniform)
    chain.emplace_back().elementwise = {ScalarBijection::Kind::kSigmoid};
  FlowSpec spec{.dim = kDim, .seed = 9};
  spec.chain = std::move(chain);
  spec.base = base;
  return spec;
}

class FlowBaseTest : public testing::TestWithParam<NamedBase> {
 protected:
  FlowBaseTest()
      : flow_(*Flow::Create(SpecOf(GetParam().base))),
        parameters_(RandomParameters(*flow_, 4)),
        backend_(CreateCpuBackend({.threads = 2})),
        weights_(*backend_->Upload(flow_, AsFloats(parameters_).span())) {}

  struct Drawn {
    Rows<float> rows;
    std::vector<double> log_prob;
  };
  Drawn Draw(std::uint64_t first, int rows, double temperature) const {
    Drawn drawn{Rows<float>(rows, kDim), std::vector<double>(rows)};
    EXPECT_TRUE(
        backend_
            ->Sample(*weights_, 5, first, temperature, {}, drawn.rows.view(), drawn.log_prob, {})
            .ok());
    return drawn;
  }

  std::shared_ptr<const Flow> flow_;
  std::vector<double> parameters_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const DeviceWeights> weights_;
};

TEST_P(FlowBaseTest, NamesItsParameters) {
  std::vector<std::string> names;
  for (const auto& entry : flow_->layout().entries())
    if (entry.name.starts_with("base.")) names.push_back(entry.name);
  EXPECT_EQ(names, GetParam().parameters);
}

TEST_P(FlowBaseTest, SamplesReportTheUntemperedDensity) {
  for (const double temperature : {0.5, 1.0}) {
    const Drawn drawn = Draw(0, 200, temperature);
    std::vector<double> log_prob(200);
    ASSERT_TRUE(backend_->LogProb(*weights_, drawn.rows.view(), {}, log_prob, {}).ok());
    for (int r = 0; r < 200; ++r)
      EXPECT_NEAR(drawn.log_prob[r], log_prob[r], 2e-3 * (1 + std::fabs(log_prob[r])));
  }
}

TEST_P(FlowBaseTest, SamplesDependOnSeedAndRowOnly) {
  const Drawn all = Draw(10, 300, 1.0), part = Draw(150, 20, 1.0);
  for (int r = 0; r < 20; ++r)
    for (int c = 0; c < kDim; ++c) ASSERT_EQ(part.rows(r, c), all.rows(140 + r, c));
}

TEST_P(FlowBaseTest, ChainTermsSumToTheLogDensity) {
  const Drawn drawn = Draw(0, 100, 1.0);
  Rows<double> terms(100, kDim);
  std::vector<double> log_prob(100);
  ASSERT_TRUE(backend_->ChainTerms(*weights_, drawn.rows.view(), {}, terms.view(), {}).ok());
  ASSERT_TRUE(backend_->LogProb(*weights_, drawn.rows.view(), {}, log_prob, {}).ok());
  for (int r = 0; r < 100; ++r) {
    double sum = 0.0;
    for (int c = 0; c < kDim; ++c) sum += terms(r, c);
    EXPECT_NEAR(sum, log_prob[r], 1e-5 * (1 + std::fabs(log_prob[r])));
  }
}

TEST_P(FlowBaseTest, LogProbBackwardIsTheAdjoint) {
  std::mt19937_64 random(1);
  Point point{parameters_, RandomRows(random, 6, kDim), {}};
  const std::vector<double> bar = {1.0, -0.5, 2.0, 0.3, -1.0, 0.7};
  const Kernels& plain = *PlainEngine().kernels;
  const auto loss = [&] {
    const std::vector<double> log_p = LogProb(plain, *flow_, point);
    double sum = 0.0;
    for (std::size_t r = 0; r < bar.size(); ++r) sum += bar[r] * log_p[r];
    return sum;
  };
  for (const Engine& engine : AllEngines()) {
    const Derivatives actual = LogProbAdjoint(*engine.kernels, *flow_, point, bar);
    const double scale = MaxAbs(actual.parameters);
    for (const ParameterLayout::Entry& entry : flow_->layout().entries()) {
      if (!entry.name.starts_with("base.")) continue;
      const Slice& slice = entry.slice;
      for (std::size_t i = slice.offset; i < slice.offset + slice.extent(); ++i)
        ASSERT_NEAR(actual.parameters[i], CentralDifference(point.parameters[i], 1e-6, loss),
                    engine.gradient_tolerance * scale)
            << engine.name << " " << entry.name;
    }
  }
}

// Of a chain that has nothing to learn, Adam finds the base that fits.
TEST_P(FlowBaseTest, TrainingImprovesTheBase) {
  if (GetParam().parameters.empty()) return;
  FlowSpec spec{.dim = kDim, .seed = 9, .chain = std::vector<LayerSpec>(1)};
  spec.chain->front().permutation = {.reverse = true};
  spec.base = GetParam().base;
  const auto flow = *Flow::Create(spec);
  ASSERT_EQ(flow->layout().entries().size(), GetParam().parameters.size());
  TrainState state;
  state.parameters = flow->InitialParameters();
  auto session = *backend_->StartTraining(flow, state);
  std::mt19937_64 random(2);
  Rows<float> rows(256, kDim);
  for (int r = 0; r < 256; ++r)
    for (int c = 0; c < kDim; ++c) rows(r, c) = static_cast<float>(3 + RandomNormal(random, 0.2));
  const double before = session->ComputeGradient(rows.view(), {}).loss;
  double after = before;
  for (int step = 0; step < 200; ++step) {
    session->Step({.learning_rate = 0.05});
    after = session->ComputeGradient(rows.view(), {}).loss;
  }
  EXPECT_LT(after, before - 5.0);
}

INSTANTIATE_TEST_SUITE_P(All, FlowBaseTest, testing::ValuesIn(Bases()),
                         [](const auto& tested) { return tested.param.name; });

TEST(FlowBaseSpecTest, RefusesBasesThatContradictTheSpec) {
  FlowSpec spec = SpecOf({.kind = Kind::kNormalMixture, .components = 0});
  EXPECT_THAT(std::string(Flow::Create(spec).status().message()),
              HasSubstr("flow.base.components"));
  // A chain onto all real numbers before a base on (0, 1).
  spec.base = {.kind = Kind::kUniform};
  EXPECT_THAT(std::string(Flow::Create(spec).status().message()), HasSubstr("flow.base"));
}

}  // namespace
}  // namespace millrace
