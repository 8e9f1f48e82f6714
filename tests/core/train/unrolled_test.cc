// SPDX-License-Identifier: Apache-2.0
// Unrolled flows: what they share with their teachers before any training.
#include "core/train/unrolled.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>

#include "core/flow/architectures.h"
#include "tests/support/engines.h"
#include "tests/support/runner.h"

namespace millrace {
namespace {

constexpr int kRows = 20;

FlowSpec Teacher(Architecture architecture, int dim, int layers, bool residual = false) {
  StackSpec stack{.architecture = architecture, .layers = layers, .residual = residual};
  stack.hidden_sizes.assign(3, 12);
  stack.activation = Activation::kTanh;
  stack.mixing = Mixing::kLu;
  stack.heavy_tails = true;
  return {.dim = dim, .seed = 3, .stack = stack, .base = {BaseSpec::Kind::kDiagonalNormal}};
}

// A flow whose parameters are all away from 0, but for padding.
struct Drawn {
  explicit Drawn(const FlowSpec& spec) : flow(*Flow::Create(spec)) {
    parameters = flow->InitialParameters();
    std::mt19937_64 random(7);
    std::normal_distribution<float> normal;
    for (const auto& entry : flow->layout().entries()) {
      for (int r = 0; r < entry.slice.rows; ++r)
        for (int c = 0; c < entry.slice.cols; ++c)
          parameters[entry.slice.offset + static_cast<std::size_t>(r) * entry.slice.ld + c] +=
              0.3f * normal(random);
    }
  }
  // Without the weights of outputs, that columns do not depend on each other.
  void Separate() {
    for (const auto& entry : flow->layout().entries())
      if (entry.name.find(".output.weight") != std::string::npos)
        std::fill_n(parameters.data() + entry.slice.offset, entry.slice.extent(), 0.0f);
  }

  std::shared_ptr<const Flow> flow;
  ParameterValues parameters;
};

Image Drawing(const Flow& flow, const ParameterValues& parameters) {
  Point point{.parameters = {parameters.data(), parameters.data() + parameters.size()},
              .rows = Rows<double>(kRows, flow.dim()),
              .context = {}};
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  for (double& value : std::span(point.rows.data(), std::size_t{kRows} * flow.dim()))
    value = normal(random);
  return Apply(*PlainEngine().kernels, flow, Direction::kInverse, point);
}

double LargestDifference(const Image& a, const Image& b, int column) {
  double largest = 0.0;
  for (int r = 0; r < kRows; ++r)
    largest = std::max(largest, std::fabs(a.rows(r, column) - b.rows(r, column)));
  return largest;
}

class UnrolledTest : public testing::TestWithParam<std::pair<Architecture, bool>> {
 protected:
  FlowSpec Spec(int dim, int layers) const {
    return Teacher(GetParam().first, dim, layers, GetParam().second);
  }
};

// Nothing depends on the first column, so that the first three are exact, and the fourth is not.
TEST_P(UnrolledTest, TheFirstColumnOfAPairIsTheTeachers) {
  FlowSpec spec = Spec(4, 1);
  spec.stack->mixing = Mixing::kNone;
  Drawn teacher(spec);
  for (const auto& [name, slice, decays, statistic, gain] : teacher.flow->layout().entries()) {
    if (name.find(".hidden.0.weight") == std::string::npos) continue;
    for (int r = 0; r < slice.rows; ++r)
      teacher.parameters[slice.offset + static_cast<std::size_t>(r) * slice.ld] = 0.0f;
  }
  const auto unrolled = *Flow::Create(Unrolled(spec));
  const Image expected = Drawing(*teacher.flow, teacher.parameters);
  const Image actual =
      Drawing(*unrolled, UnrolledParameters(*teacher.flow, teacher.parameters.span(), *unrolled));
  for (int c = 0; c < 3; ++c) EXPECT_LT(LargestDifference(actual, expected, c), 1e-12) << c;
  EXPECT_GT(LargestDifference(actual, expected, 3), 1e-3);
}

TEST_P(UnrolledTest, ColumnsThatStandAloneAreTheTeachers) {
  for (const int dim : {1, 2, 5, 16}) {
    SCOPED_TRACE(dim);
    const FlowSpec spec = Spec(dim, 2);
    Drawn teacher(spec);
    teacher.Separate();
    const auto unrolled = *Flow::Create(Unrolled(spec));
    const Image expected = Drawing(*teacher.flow, teacher.parameters);
    const Image actual =
        Drawing(*unrolled, UnrolledParameters(*teacher.flow, teacher.parameters.span(), *unrolled));
    for (int c = 0; c < dim; ++c) EXPECT_LT(LargestDifference(actual, expected, c), 1e-9) << c;
    for (int r = 0; r < kRows; ++r) EXPECT_NEAR(actual.log_det[r], expected.log_det[r], 1e-9);
  }
}

TEST_P(UnrolledTest, NeedsNoSweepToDraw) {
  for (const LayerSpec& layer : ChainOf(Unrolled(Spec(15, 2)))) {
    EXPECT_TRUE(!layer.autoregressive || layer.inverse);
  }
}

INSTANTIATE_TEST_SUITE_P(Teachers, UnrolledTest,
                         testing::Values(std::pair(Architecture::kMaf, false),
                                         std::pair(Architecture::kMaf, true),
                                         std::pair(Architecture::kNsfAutoregressive, true)));

TEST(CanUnrollTest, SweepsOfKnownBijectionsOnly) {
  EXPECT_TRUE(CanUnroll(Teacher(Architecture::kMade, 4, 1)));
  EXPECT_FALSE(CanUnroll(Teacher(Architecture::kRealNvp, 4, 3)));
  EXPECT_FALSE(CanUnroll(Teacher(Architecture::kMaf, 4, 0)));
  EXPECT_FALSE(CanUnroll(Teacher(Architecture::kIaf, 4, 3)));
  EXPECT_FALSE(CanUnroll(Teacher(Architecture::kMafMog, 4, 3)));
  EXPECT_FALSE(CanUnroll(Teacher(Architecture::kMaf, 17, 3)));
  // Eight layers for one, and the linear ones between: a chain has 256 at most.
  EXPECT_TRUE(CanUnroll(Teacher(Architecture::kMaf, 16, 25)));
  EXPECT_FALSE(CanUnroll(Teacher(Architecture::kMaf, 16, 32)));
}

TEST(CanUnrollTest, RotationsKeepTheirPlace) {
  FlowSpec spec{.dim = 4, .chain = {{{.autoregressive = AutoregressiveLayer{}}}}};
  EXPECT_TRUE(CanUnroll(spec));
  spec.chain->push_back({.linear = LinearLayer{LinearLayer::Start::kIdentity}});
  EXPECT_TRUE(CanUnroll(spec));
  spec.chain->push_back({.linear = LinearLayer{LinearLayer::Start::kRotation}});
  EXPECT_FALSE(CanUnroll(spec));
}

// All the others are the teacher's, with their permutations, masks and statistics.
TEST(UnrolledParametersTest, OtherLayersAreTheTeachers) {
  const AutoregressiveLayer sweep{.network = {.hidden_sizes = {6}}};
  CouplingLayer coupling;
  coupling.network.hidden_sizes = {6};
  coupling.mask = Mask::kRandom;
  coupling.draw = 4;
  const FlowSpec spec{.dim = 4,
                      .seed = 11,
                      .chain = {{{.norm = NormLayer{.batch = true}},
                                 {.coupling = coupling},
                                 {.permutation = PermutationLayer{.reverse = false, .draw = 2}},
                                 {.autoregressive = sweep},
                                 {.norm = NormLayer{}},
                                 {.autoregressive = sweep, .inverse = true},
                                 {.linear = LinearLayer{}}}},
                      .base = {BaseSpec::Kind::kStudentT}};
  Drawn teacher(spec);
  for (const auto& entry : teacher.flow->layout().entries())
    if (entry.name == "3.made.output.weight")
      std::fill_n(teacher.parameters.data() + entry.slice.offset, entry.slice.extent(), 0.0f);
  ASSERT_TRUE(CanUnroll(spec));
  const auto unrolled = *Flow::Create(Unrolled(spec));
  const Image expected = Drawing(*teacher.flow, teacher.parameters);
  const Image actual =
      Drawing(*unrolled, UnrolledParameters(*teacher.flow, teacher.parameters.span(), *unrolled));
  for (int c = 0; c < 4; ++c) EXPECT_LT(LargestDifference(actual, expected, c), 1e-9) << c;
  for (int r = 0; r < kRows; ++r) EXPECT_NEAR(actual.log_det[r], expected.log_det[r], 1e-9);
}

// A layer that is inverted already stays; one of inverse splines has splines.
TEST(UnrolledSpecTest, KeepsWhatDrawsInOnePass) {
  AutoregressiveLayer layer{.bijection = {ScalarBijection::Kind::kInverseRationalQuadratic, 6}};
  const FlowSpec spec{.dim = 2,
                      .chain = {{{.autoregressive = layer},
                                 {.coupling = CouplingLayer{}},
                                 {.autoregressive = layer, .inverse = true}}}};
  ASSERT_TRUE(CanUnroll(spec));
  const FlowSpec unrolled = Unrolled(spec);
  ASSERT_EQ(unrolled.chain->size(), 3u);
  const LayerSpec& first = unrolled.chain->front();
  EXPECT_TRUE(first.inverse);
  EXPECT_EQ(first.autoregressive->bijection.kind, ScalarBijection::Kind::kRationalQuadratic);
  EXPECT_EQ(first.autoregressive->bijection.bins, 6);
  EXPECT_EQ(unrolled.chain->at(1), spec.chain->at(1));
  EXPECT_EQ(unrolled.chain->at(2), spec.chain->at(2));
}

}  // namespace
}  // namespace millrace
