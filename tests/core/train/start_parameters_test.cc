// SPDX-License-Identifier: Apache-2.0
// Where training starts: every transform that wants moments has those of what reaches it, and no
// row goes through a transform twice.
#include "core/train/start_parameters.h"

#include <gtest/gtest.h>

#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/cpu/cpu_backend.h"
#include "core/flow/architectures.h"
#include "core/io/model_file.h"
#include "tests/support/fake_backend.h"
#include "tests/support/numeric.h"
#include "tests/support/stripes.h"

namespace millrace {
namespace {

constexpr int kRows = 300;

// Computes what a start needs, and counts.
class CountingBackend final : public FakeBackend {
 public:
  CountingBackend() : FakeBackend(LogDensity()) {}

  absl::Status Advance(const Flow& flow, std::span<const float> parameters, int first, int end,
                       RowsView<const float> context, RowsView<float> rows,
                       std::stop_token stop) override {
    EXPECT_EQ(first, passed_);
    passed_ = end;
    return cpu_->Advance(flow, parameters, first, end, context, rows, std::move(stop));
  }
  absl::StatusOr<Moments> ComputeMoments(RowsView<const float> rows, bool covariance,
                                         std::stop_token stop) override {
    return cpu_->ComputeMoments(rows, covariance, std::move(stop));
  }

  int passed() const { return passed_; }

 private:
  const std::unique_ptr<Backend> cpu_ = CreateCpuBackend({.threads = 2});
  int passed_ = 0;
};

FlowSpec Table(int context_dim) {
  return {.dim = 5,
          .context_dim = context_dim,
          .seed = 3,
          .stack = StackSpec{.layers = 4,
                             .hidden_sizes = {8},
                             .mixing = Mixing::kLu,
                             .act_norm = true,
                             .batch_norm = true,
                             .whiten = true}};
}

FlowSpec Images(Architecture architecture) {
  FlowSpec spec{.dim = 32,
                .seed = 3,
                .image = {{4, 4, 2}},
                .stack = StackSpec{.architecture = architecture,
                                   .layers = 2,
                                   .hidden_sizes = {4, 4, 4},
                                   .residual = true,
                                   .act_norm = true,
                                   .levels = 2}};
  spec.stack->weight_norm = architecture == Architecture::kRealNvpImage;
  return spec;
}

Rows<float> Random(int rows, int cols, int seed) {
  std::mt19937_64 random(seed);
  Rows<float> x(rows, cols);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c)
      x(r, c) = static_cast<float>(c - 2 + RandomNormal(random, 1.0 + c));
  return x;
}

// From the rows themselves for every transform that wants moments.
ParameterValues Reference(const Flow& flow, ConditionedRows<const float> rows, Backend& backend) {
  ParameterValues parameters = flow.InitialParameters();
  for (int t = 0; t < static_cast<int>(flow.transforms().size()); ++t) {
    const Transform& transform = *flow.transforms()[t];
    if (!transform.WantsMoments()) continue;
    Rows<float> inputs(rows.rows.rows, rows.rows.cols);
    std::copy_n(rows.rows.data, inputs.rows() * inputs.cols(), inputs.data());
    EXPECT_TRUE(
        backend.Advance(flow, parameters.span(), 0, t, rows.context, inputs.view(), {}).ok());
    const auto moments = backend.ComputeMoments(inputs.view(), transform.WantsCovariance(), {});
    transform.InitialiseFromMoments(*moments, parameters.span());
  }
  return parameters;
}

TEST(StartParametersTest, OneWayThroughTheFlowGivesEveryTransformItsMoments) {
  for (const FlowSpec& spec :
       {Table(0), Table(2), Images(Architecture::kGlow), Images(Architecture::kRealNvpImage)}) {
    SCOPED_TRACE(NameOf(spec.stack->architecture));
    const auto flow = *Flow::Create(spec);
    const Rows<float> x = Random(kRows, spec.dim, 1);
    const Rows<float> context = Random(spec.context_dim > 0 ? kRows : 0, spec.context_dim, 2);
    const ConditionedRows<const float> rows{x.view(), context.view()};
    CountingBackend backend;
    const auto start = StartParameters(*flow, rows, /*shrinkage=*/0.0, backend, {});
    ASSERT_TRUE(start.ok()) << start.status();
    EXPECT_GT(backend.passed(), 5);
    const auto cpu = CreateCpuBackend({.threads = 1});
    const ParameterValues expected = Reference(*flow, rows, *cpu);
    ASSERT_EQ(start->size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ((*start)[i], expected[i]) << i;
  }
}

// What data make of an ActNorm are parameters like others: a file keeps them bit for bit, and every
// channel that leaves one has mean 0 and variance 1 over the rows it started from.
TEST(StartParametersTest, NormsStartFromTheRowsAndAreSaved) {
  constexpr int kImages = 400;
  const Rows<double> images = Stripes(kImages, 4);
  std::vector<ColumnSpec> specs(64);
  for (int c = 0; c < 64; ++c) specs[c] = {absl::StrCat("p", c), ColumnType::kPixel};
  Model model;
  model.columns = *ColumnModel::Fit(specs, images.view());
  model.spec = {
      .dim = 64,
      .seed = 3,
      .image = {{8, 8, 1}},
      .stack = StackSpec{
          .architecture = Architecture::kGlow, .layers = 2, .hidden_sizes = {4, 4}, .levels = 2}};
  model.calibration = {{0.0}, 0.5};
  Rows<float> seen(kImages, 64);
  model.columns.ToTraining(images.view(), 5, 0, seen.view());
  const auto flow = *Flow::Create(model.spec);
  const auto backend = CreateCpuBackend({.threads = 2});
  model.parameters = *StartParameters(*flow, {seen.view(), {}}, 0.0, *backend, {});
  const auto bytes = EncodeModel(model);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const auto loaded = DecodeModel(*bytes);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->parameters.size(), model.parameters.size());
  EXPECT_EQ(std::memcmp(loaded->parameters.data(), model.parameters.data(),
                        model.parameters.size() * sizeof(float)),
            0);
  // The norms of the first level, of the second, and the last.
  constexpr std::pair<int, int> kPixelsAndChannels[] = {{16, 4}, {16, 4}, {4, 8}, {4, 8}, {4, 8}};
  std::size_t norm = 0;
  for (int t = 0; t < static_cast<int>(flow->transforms().size()); ++t) {
    if (!flow->transforms()[t]->WantsMoments()) continue;
    ASSERT_LT(norm, std::size(kPixelsAndChannels));
    const auto [pixels, channels] = kPixelsAndChannels[norm++];
    Rows<float> left = seen;
    ASSERT_TRUE(
        backend->Advance(*flow, loaded->parameters.span(), 0, t + 1, {}, left.view(), {}).ok());
    for (int channel = 0; channel < channels; ++channel) {
      double sum = 0.0, squares = 0.0;
      for (int r = 0; r < kImages; ++r)
        for (int p = 0; p < pixels; ++p) {
          const double value = left(r, channel * pixels + p);
          sum += value / (kImages * pixels);
          squares += value * value / (kImages * pixels);
        }
      EXPECT_NEAR(sum, 0.0, 1e-4) << "transform " << t << ", channel " << channel;
      EXPECT_NEAR(squares, 1.0, 1e-3) << "transform " << t << ", channel " << channel;
    }
  }
  EXPECT_EQ(norm, std::size(kPixelsAndChannels));
}

TEST(StartParametersTest, StopsWhenAsked) {
  std::stop_source source;
  source.request_stop();
  const Rows<float> x = Random(kRows, 5, 1);
  const auto backend = CreateCpuBackend({.threads = 1});
  EXPECT_EQ(
      StartParameters(**Flow::Create(Table(0)), {x.view(), {}}, 0.0, *backend, source.get_token())
          .status()
          .code(),
      absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace millrace
