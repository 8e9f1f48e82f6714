// SPDX-License-Identifier: Apache-2.0
// Training by samples: what Flow::Sample draws, and the gradient of a loss of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "core/exec/tape.h"
#include "core/flow/architectures.h"
#include "tests/core/flow/backend_fixture.h"
#include "tests/support/engines.h"
#include "tests/support/host_block.h"

namespace millrace {
namespace {

constexpr std::uint64_t kSeed = 11, kFirstRow = 1000;
constexpr int kFewRows = 5;
constexpr int kDim = 4;

struct Drawn {
  Rows<double> x;
  std::vector<double> log_q;
};

// Flow::Sample and, where `bar` is given, the gradient for dL/dx and dL/dlog_q, on plain kernels.
struct Loss {
  Rows<double> x_bar;
  std::vector<double> log_q_bar;
};

Drawn Sample(const Flow& flow, const std::vector<double>& parameters, const Loss* loss = nullptr,
             std::vector<double>* gradient = nullptr) {
  const Kernels& kernels = *PlainEngine().kernels;
  Arena arena(kernels.element_size());
  Tape tape;
  const HostParameters host(kernels, parameters);
  HostParameters sums(kernels, std::vector<double>(parameters.size(), 0.0));
  Pass pass{.kernels = kernels, .arena = arena, .weights = host.weights()};
  if (loss != nullptr) {
    pass.gradients = sums.gradients();
    pass.tape = &tape;
  }
  const Matrix x = arena.NewMatrix(kFewRows, flow.dim());
  const Vector log_q = arena.NewVector(kFewRows);
  flow.Sample(pass, kSeed, kFirstRow, x, log_q);
  Drawn drawn{ReadBlock(kernels, x), {log_q.data, log_q.data + kFewRows}};
  if (loss == nullptr) return drawn;
  flow.SampleBackward(pass, kSeed, kFirstRow, x, NewBlock(kernels, arena, loss->x_bar.view()),
                      NewVector(arena, loss->log_q_bar));
  EXPECT_TRUE(tape.empty());
  *gradient = sums.values();
  return drawn;
}

struct NamedFlow {
  std::string name;
  FlowSpec spec;

  friend std::ostream& operator<<(std::ostream& out, const NamedFlow& f) { return out << f.name; }
};

// Every architecture, and every base whose samples have a derivative.
std::vector<NamedFlow> Flows() {
  using Kind = BaseSpec::Kind;
  std::vector<NamedFlow> flows;
  for (const Architecture architecture : AllArchitectures()) {
    if (TraitsOf(architecture).image) continue;
    StackSpec stack{.architecture = architecture,
                    .layers = TraitsOf(architecture).one_layer ? 1 : 2,
                    .hidden_sizes = {8},
                    .mixing = Mixing::kLu,
                    .activation = Activation::kTanh,
                    .act_norm = true,
                    .batch_norm = true,
                    .heavy_tails = true};
    std::string name = NameOf(architecture);
    std::erase(name, '-');
    flows.push_back({name, {.dim = kDim, .seed = 2, .stack = stack}});
  }
  for (const auto& [name, kind] :
       {std::pair("DiagonalNormal", Kind::kDiagonalNormal), std::pair("Logistic", Kind::kLogistic),
        std::pair("StudentT", Kind::kStudentT)}) {
    const StackSpec stack{.layers = 1, .hidden_sizes = {8}, .activation = Activation::kTanh};
    flows.push_back({name, {.dim = kDim, .seed = 2, .stack = stack, .base = {.kind = kind}}});
  }
  return flows;
}

class SampleGradientTest : public testing::TestWithParam<NamedFlow> {
 protected:
  SampleGradientTest()
      : flow_(*Flow::Create(GetParam().spec)), parameters_(RandomParameters(*flow_, 4)) {
    std::mt19937_64 random(5);
    loss_ = {RandomRows(random, kFewRows, kDim), {0.3, -1.0, 0.7, 0.0, 2.0}};
  }

  std::shared_ptr<const Flow> flow_;
  std::vector<double> parameters_;
  Loss loss_;
};

TEST_P(SampleGradientTest, LogDensityIsThatOfTheSamples) {
  const Drawn drawn = Sample(*flow_, parameters_);
  const std::vector<double> log_p =
      LogProb(*PlainEngine().kernels, *flow_, {parameters_, drawn.x, {}});
  for (int r = 0; r < kFewRows; ++r)
    EXPECT_NEAR(drawn.log_q[r], log_p[r], 1e-5 * (1 + std::fabs(log_p[r])));
}

// Against differences of the loss in which ln q is that of the parameters as they were.
TEST_P(SampleGradientTest, GradientIsThatOfThePaths) {
  std::vector<double> gradient;
  Sample(*flow_, parameters_, &loss_, &gradient);
  const auto loss = [&](const std::vector<double>& moved) {
    const Rows<double> x = Sample(*flow_, moved).x;
    const std::vector<double> log_q = LogProb(*PlainEngine().kernels, *flow_, {parameters_, x, {}});
    double sum = 0.0;
    for (int r = 0; r < kFewRows; ++r) {
      sum += loss_.log_q_bar[r] * log_q[r];
      for (int c = 0; c < kDim; ++c) sum += loss_.x_bar(r, c) * x(r, c);
    }
    return sum;
  };
  const double scale = MaxAbs(gradient);
  ASSERT_GT(scale, 1e-3);
  std::mt19937_64 random(6);
  std::vector<double> moved = parameters_;
  for (const ParameterLayout::Entry& entry : flow_->layout().entries()) {
    if (entry.statistic) continue;
    for (int probe = 0; probe < 3; ++probe) {
      const std::size_t i = entry.slice.offset + random() % entry.slice.rows * entry.slice.ld +
                            random() % entry.slice.cols;
      const double exact = CentralDifference(moved[i], 1e-5, [&] { return loss(moved); });
      ASSERT_NEAR(gradient[i], exact, 2e-4 * scale) << entry.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SampleGradientTest, testing::ValuesIn(Flows()),
                         [](const auto& tested) { return tested.param.name; });

class SampleSessionTest : public BackendTest {
 protected:
  struct Run {
    Rows<float> x{kRows, 7};
    std::vector<double> log_q = std::vector<double>(kRows);
    double norm = 0.0;
    std::vector<float> gradient;
  };
  // Samples, and the gradient of the loss that is ln q less the sum of the first two columns.
  Run RunOn(int threads) const {
    const auto backend = NewBackend(threads);
    const auto session = *backend->StartTraining(flow_, FreshState());
    Run run;
    session->SampleBatch(kSeed, kFirstRow, context_.view(), run.x.view(), run.log_q);
    Rows<float> x_bar(kRows, 7);
    for (int r = 0; r < kRows; ++r) x_bar(r, 0) = x_bar(r, 1) = -1.0f / kRows;
    run.norm = session->ComputeSampleGradient(kSeed, kFirstRow, context_.view(), x_bar.view(),
                                              std::vector<double>(kRows, 1.0 / kRows));
    run.gradient.assign(session->gradient().begin(), session->gradient().end());
    return run;
  }
};

TEST_F(SampleSessionTest, SameOnAnyNumberOfThreads) {
  const Run one = RunOn(1);
  double square = 0.0;
  for (const float g : one.gradient) square += double{g} * g;
  EXPECT_NEAR(one.norm, std::sqrt(square), 1e-4 * one.norm);
  for (const int threads : {2, 3, 8}) {
    const Run many = RunOn(threads);
    ExpectSameBits<float>(All(many.x), All(one.x));
    ExpectSameBits<double>(many.log_q, one.log_q);
    ExpectSameBits<float>(many.gradient, one.gradient);
    EXPECT_EQ(many.norm, one.norm);
  }
}

TEST_F(SampleSessionTest, SamplesAreThoseOfTheBackend) {
  const Run run = RunOn(2);
  const auto backend = NewBackend(2);
  Output out{Rows<float>(kRows, 7), std::vector<double>(kRows)};
  ASSERT_TRUE(backend
                  ->Sample(*Upload(*backend), kSeed, kFirstRow, 1.0, context_.view(),
                           out.rows.view(), out.values, {})
                  .ok());
  ExpectSameBits<float>(All(run.x), All(out.rows));
  ExpectSameBits<double>(run.log_q, out.values);
}

// Where q is its target, no sample has a gradient: the estimator's variance is zero.
TEST_F(SampleSessionTest, GradientVanishesAtTheTarget) {
  const auto backend = NewBackend(2);
  const auto session = *backend->StartTraining(flow_, FreshState());
  Run run;
  session->SampleBatch(kSeed, kFirstRow, context_.view(), run.x.view(), run.log_q);
  Rows<float> x_bar(kRows, 7);
  std::vector<double> log_p(kRows);
  ASSERT_TRUE(backend
                  ->LogProbGradient(*Upload(*backend), run.x.view(), context_.view(), log_p,
                                    x_bar.view(), {})
                  .ok());
  for (int i = 0; i < kRows * 7; ++i) x_bar.data()[i] *= -1.0f / kRows;
  const double norm = session->ComputeSampleGradient(
      kSeed, kFirstRow, context_.view(), x_bar.view(), std::vector<double>(kRows, 1.0 / kRows));
  EXPECT_LT(norm, 1e-4 * RunOn(1).norm);
}

TEST_F(SampleSessionTest, BackendsGradientIsThatOfTheLogDensity) {
  const auto backend = NewBackend(2);
  Rows<float> gradient(kRows, 7);
  std::vector<double> log_p(kRows);
  ASSERT_TRUE(backend
                  ->LogProbGradient(*Upload(*backend), x_.view(), context_.view(), log_p,
                                    gradient.view(), {})
                  .ok());
  ExpectSameBits<double>(log_p, LogProbOf(*backend, 0, kRows));
  const Derivatives exact =
      LogProbAdjoint(*PlainEngine().kernels, *flow_, ExactPoint(), std::vector<double>(kRows, 1.0));
  double largest = 0.0;
  for (int i = 0; i < kRows * 7; ++i) largest = std::max(largest, std::fabs(exact.rows.data()[i]));
  for (int i = 0; i < kRows * 7; ++i)
    ASSERT_NEAR(gradient.data()[i], exact.rows.data()[i], 1e-4 * largest);
}

}  // namespace
}  // namespace millrace
