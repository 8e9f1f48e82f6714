// SPDX-License-Identifier: Apache-2.0
// A row that comes alone takes other kernels (core/cpu/one_row.h) than a row of a batch, and has
// the same bits.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "core/flow/architectures.h"
#include "tests/core/flow/backend_fixture.h"

namespace millrace {
namespace {

constexpr int kFew = 19;

struct AloneCase {
  std::string name;
  FlowSpec spec;
  friend std::ostream& operator<<(std::ostream& out, const AloneCase& c) { return out << c.name; }
};

// Of all real numbers, but the standard normal.
std::vector<BaseSpec> Bases() {
  using Kind = BaseSpec::Kind;
  return {{.kind = Kind::kDiagonalNormal},
          {.kind = Kind::kLogistic},
          {.kind = Kind::kStudentT},
          {.kind = Kind::kNormalMixture, .components = 3}};
}

// Layers that no architecture has with these cases' options, onto (0, 1).
std::vector<LayerSpec> Chain() {
  return {{.permutation = PermutationLayer{}},
          {.linear = LinearLayer{.start = LinearLayer::Start::kRotation}},
          {.norm = NormLayer{.batch = true}},
          {.linear = LinearLayer{}, .inverse = true},
          {.vector = VectorBijection{.kind = VectorBijection::Kind::kRotation}},
          {.permutation = PermutationLayer{.draw = 1}, .inverse = true},
          {.elementwise = ScalarBijection{ScalarBijection::Kind::kSigmoid}}};
}

// Every architecture; columns of several groups of a sweep, of several steps and of less than one,
// units of several degrees a pack and several packs a degree.
std::vector<AloneCase> AloneCases() {
  std::vector<AloneCase> cases;
  const auto add = [&](Architecture architecture, const char* what, int dim, int context_dim,
                       std::vector<int> hidden, bool residual, Activation activation) {
    std::string name = NameOf(architecture);
    std::erase(name, '-');
    const bool one_layer = TraitsOf(architecture).one_layer;
    cases.push_back({name + what,
                     {.dim = dim,
                      .context_dim = TraitsOf(architecture).network ? context_dim : 0,
                      .seed = 3,
                      .stack = StackSpec{.architecture = architecture,
                                         .layers = one_layer ? 1 : 2,
                                         .hidden_sizes = std::move(hidden),
                                         .residual = residual,
                                         .mixing = residual ? Mixing::kLu : Mixing::kNone,
                                         .activation = activation,
                                         .act_norm = residual,
                                         .heavy_tails = residual,
                                         .bins = 4,
                                         .components = 3,
                                         .width = 2}}});
  };
  for (const Architecture architecture : AllArchitectures()) {
    if (TraitsOf(architecture).image) continue;  // rows of images are blocks, alone or not
    const bool plain_only = architecture == Architecture::kResidual;
    add(architecture, "Plain", 37, 0, {50, 73}, false, Activation::kRelu);
    add(architecture, "Narrow", 2, 2, {9}, false, Activation::kElu);
    if (plain_only) continue;
    add(architecture, "Residual", 37, 2, {40, 40, 40}, true, Activation::kTanh);
    add(architecture, "Wide", 3, 0, {130, 130, 130}, true, Activation::kTanh);
  }
  add(Architecture::kMaf, "Groups", 70, 0, {100, 90}, false, Activation::kRelu);
  add(Architecture::kNsfAutoregressive, "Groups", 140, 2, {64, 64, 64}, true, Activation::kTanh);
  add(Architecture::kIaf, "Groups", 129, 2, {40, 150}, false, Activation::kElu);
  add(Architecture::kMaf, "Large", 9, 2, {190, 200}, false, Activation::kRelu);
  add(Architecture::kMaf, "OneColumn", 1, 0, {4, 4}, false, Activation::kRelu);
  add(Architecture::kMaf, "OneUnit", 5, 0, {1, 1}, false, Activation::kRelu);
  for (const BaseSpec& base : Bases()) {
    add(Architecture::kMaf, "Base", 19, 0, {30}, false, Activation::kRelu);
    cases.back().name += std::to_string(static_cast<int>(base.kind));
    cases.back().spec.base = base;
  }
  cases.push_back(
      {"Chain",
       {.dim = 21, .seed = 3, .chain = Chain(), .base = {.kind = BaseSpec::Kind::kUniform}}});
  return cases;
}

class AloneTest : public testing::TestWithParam<AloneCase> {};

TEST_P(AloneTest, ARowHasTheBitsOfTheSameRowInABatch) {
  const auto flow = *Flow::Create(GetParam().spec);
  const auto backend = CreateCpuBackend({.threads = 1});
  const ParameterValues parameters = AsFloats(RandomParameters(*flow, 4));
  const auto weights = *backend->Upload(flow, parameters.span());
  std::mt19937_64 random(8);
  const Rows<float> x = Floats(RandomRows(random, kFew, flow->dim()));
  const Rows<float> context = Floats(RandomRows(random, kFew, flow->spec().context_dim));
  const auto conditions = [&](std::int64_t first, std::int64_t count) {
    return context.cols() == 0 ? RowsView<const float>{} : context.view().Slice(first, count);
  };
  const auto run = [&](std::int64_t first, std::int64_t count) {
    std::vector<Output> found;
    const auto next = [&]() -> Output& {
      return found.emplace_back(
          Output{Rows<float>(count, flow->dim()), std::vector<double>(count)});
    };
    const RowsView<const float> given = x.view().Slice(first, count), c = conditions(first, count);
    EXPECT_TRUE(backend->LogProb(*weights, given, c, next().values, {}).ok());
    Output& image = next();
    EXPECT_TRUE(backend->Forward(*weights, given, c, image.rows.view(), image.values, {}).ok());
    Output& source = next();
    EXPECT_TRUE(backend->Inverse(*weights, given, c, source.rows.view(), source.values, {}).ok());
    Output& sample = next();
    EXPECT_TRUE(backend
                    ->Sample(*weights, 9, static_cast<std::uint64_t>(first), 0.8, c,
                             sample.rows.view(), sample.values, {})
                    .ok());
    if (flow->IsTriangular(parameters.span())) {
      Output& terms = next();
      terms.values.resize(count * flow->dim());
      EXPECT_TRUE(
          backend->ChainTerms(*weights, given, c, {terms.values.data(), count, flow->dim()}, {})
              .ok());
    }
    Output& slope = next();
    EXPECT_TRUE(
        backend->LogProbGradient(*weights, given, c, slope.values, slope.rows.view(), {}).ok());
    return found;
  };
  const std::vector<Output> batch = run(0, kFew);
  for (int r = 0; r < kFew; ++r) {
    ASSERT_TRUE(std::isfinite(batch[0].values[r]));
    const std::vector<Output> alone = run(r, 1);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::size_t size = alone[i].values.size();
      ExpectSameBits<double>(alone[i].values, std::span(batch[i].values).subspan(r * size, size));
      ExpectSameBits<float>(All(alone[i].rows),
                            All(batch[i].rows).subspan(r * flow->dim(), flow->dim()));
      ASSERT_FALSE(HasFailure()) << "row " << r << ", output " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Flows, AloneTest, testing::ValuesIn(AloneCases()),
                         [](const auto& c) { return c.param.name; });

}  // namespace
}  // namespace millrace
