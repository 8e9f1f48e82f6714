// SPDX-License-Identifier: Apache-2.0
// What training chooses for a table nobody tuned for, and what callers may choose.
#include "core/train/choices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/flow/architectures.h"
#include "core/flow/flow.h"
#include "core/train/start_parameters.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

StackSpec Chosen(const StackChoice& choice, std::int64_t rows, int dim) {
  const absl::StatusOr<FlowSpec> spec = ChooseFlow({choice}, rows, dim, 0, 3);
  EXPECT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->dim, dim);
  EXPECT_EQ(spec->seed, 3u);
  return *spec->stack;
}

TEST(ChooseFlowTest, EveryTableGetsAFlow) {
  for (const std::int64_t rows : {2L, 8L, 499L, 500L, 3999L, 4000L, 100000000L})
    for (const int dim : {1, 2, 4, 5, 63, 4096}) {
      const absl::StatusOr<FlowSpec> spec = ChooseFlow({}, rows, dim, 0, 1);
      ASSERT_TRUE(spec.ok()) << spec.status() << rows << " " << dim;
    }
}

// Untrained, a chosen flow is the full-covariance Gaussian of its rows, if its layers start as the
// identity: not mixtures, planar, radial, Sylvester and residual layers.
TEST(ChooseFlowTest, EveryFlowStartsAsTheGaussianOfTheRows) {
  constexpr int kRows = 500;
  const Rows<double> normals = NormalTable(kRows, 2, 1);
  Rows<float> rows(kRows, 2);
  double m[2] = {}, s[3] = {};
  for (int r = 0; r < kRows; ++r) {
    rows(r, 0) = static_cast<float>(0.3 + 1.4 * normals(r, 0));
    rows(r, 1) = static_cast<float>(0.9 * normals(r, 0) + 0.3 * normals(r, 1) - 1.0);
    for (int c = 0; c < 2; ++c) m[c] += rows(r, c) / static_cast<double>(kRows);
  }
  const auto centred = [&](int r) { return std::pair(rows(r, 0) - m[0], rows(r, 1) - m[1]); };
  for (int r = 0; r < kRows; ++r) {
    const auto [a, b] = centred(r);
    s[0] += a * a / kRows, s[1] += a * b / kRows, s[2] += b * b / kRows;
  }
  const double determinant = s[0] * s[2] - s[1] * s[1];
  const auto backend = CreateCpuBackend({.threads = 1});
  for (const Architecture architecture :
       {Architecture::kMade, Architecture::kMaf, Architecture::kIaf,
        Architecture::kNsfAutoregressive, Architecture::kNice, Architecture::kRealNvp,
        Architecture::kNsfCoupling}) {
    for (const std::int64_t fitting_rows : {100, 100000}) {
      const auto flow = *Flow::Create(
          *ChooseFlow({.stack = {.architecture = architecture}}, fitting_rows, 2, 0, 1));
      const auto start = StartParameters(*flow, {rows.view(), {}}, 0.0, *backend, {});
      ASSERT_TRUE(start.ok()) << start.status();
      const auto weights = *backend->Upload(flow, start->span());
      std::vector<double> log_prob(kRows);
      ASSERT_TRUE(backend->LogProb(*weights, rows.view(), {}, log_prob, {}).ok());
      for (int r = 0; r < kRows; ++r) {
        const auto [a, b] = centred(r);
        const double exact = -std::log(2 * std::numbers::pi) - 0.5 * std::log(determinant) -
                             0.5 * (s[2] * a * a - 2 * s[1] * a * b + s[0] * b * b) / determinant;
        ASSERT_NEAR(log_prob[r], exact, 1e-4 * (1 + std::fabs(exact)))
            << NameOf(architecture) << " " << r;
      }
    }
  }
}

TEST(ChooseFlowTest, ManyRowsAffordSplines) {
  for (const int dim : {1, 2, 4, 5, 63}) {
    EXPECT_EQ(Chosen({}, 3999, dim).architecture, Architecture::kMaf) << dim;
    EXPECT_EQ(Chosen({}, 4000, dim).architecture, Architecture::kNsfAutoregressive) << dim;
  }
}

TEST(ChooseFlowTest, SizesFollowTheTable) {
  const auto expect = [](const StackSpec& stack, int layers, const std::vector<int>& hidden_sizes) {
    EXPECT_EQ(stack.layers, layers) << NameOf(stack.architecture);
    EXPECT_EQ(stack.hidden_sizes, hidden_sizes) << NameOf(stack.architecture);
  };
  for (const int dim : {2, 4}) {
    expect(Chosen({}, 3999, dim), 6, {32, 32, 32});
    expect(Chosen({}, 4000, dim), 6, {64, 64, 64});
    EXPECT_EQ(Chosen({}, 4000, dim).bins, 16);
    expect(Chosen({.architecture = Architecture::kMaf}, 4000, dim), 10, {32, 32, 32});
  }
  expect(Chosen({}, 4000, 5), 6, std::vector<int>(5, 128));
  EXPECT_EQ(Chosen({}, 4000, 5).bins, StackSpec().bins);
  // A coupling moves half of the columns.
  expect(Chosen({.architecture = Architecture::kNsfCoupling}, 4000, 4), 12, {64, 64, 64});
}

TEST(ChooseFlowTest, WhatOnlyOneArchitectureHasChoosesIt) {
  for (const std::int64_t rows : {100, 100000}) {
    EXPECT_EQ(Chosen({.mask = Mask::kHalf}, rows, 6).architecture, Architecture::kRealNvp);
    EXPECT_EQ(Chosen({.components = 4}, rows, 6).architecture, Architecture::kMafMog);
    EXPECT_EQ(Chosen({.width = 3}, rows, 6).architecture, Architecture::kSylvester);
    EXPECT_EQ(Chosen({.bins = 4}, rows, 6).architecture, Architecture::kNsfAutoregressive);
    EXPECT_EQ(Chosen({.bound = 4.0}, rows, 6).architecture, Architecture::kNsfAutoregressive);
  }
}

TEST(ChooseFlowTest, WhatAnArchitectureHasNoUseForIsRefused) {
  using A = Architecture;
  struct Case {
    std::string field;
    StackChoice choice;
    std::vector<Architecture> users;
  };
  const std::vector<Architecture> autoregressive = {A::kMade,    A::kMaf,    A::kIaf,
                                                    A::kMadeMog, A::kMafMog, A::kNsfAutoregressive};
  const std::vector<Architecture> couplings = {A::kNice, A::kRealNvp, A::kNsfCoupling};
  std::vector<Architecture> networks = autoregressive;
  networks.insert(networks.end(), couplings.begin(), couplings.end());
  std::vector<Architecture> sized = networks;
  sized.push_back(A::kResidual);
  for (const Case& c : {
           Case{"hidden_sizes", {.hidden_sizes = std::vector<int>{8, 8, 8}}, sized},
           Case{"residual", {.residual = true}, networks},
           Case{"activation", {.activation = Activation::kTanh}, networks},
           Case{"mask", {.mask = Mask::kHalf}, couplings},
           Case{"bins", {.bins = 4}, {A::kNsfAutoregressive, A::kNsfCoupling}},
           Case{"bound", {.bound = 4.0}, {A::kNsfAutoregressive, A::kNsfCoupling}},
           Case{"components", {.components = 4}, {A::kMadeMog, A::kMafMog}},
           Case{"width", {.width = 2}, {A::kSylvester}},
       }) {
    for (const Architecture architecture : AllArchitectures()) {
      if (TraitsOf(architecture).image) continue;
      StackChoice choice = c.choice;
      choice.architecture = architecture;
      const absl::Status status = ChooseFlow({choice}, 1000, 6, 0, 1).status();
      const bool used = std::ranges::find(c.users, architecture) != c.users.end();
      EXPECT_EQ(status.ok(), used) << c.field << " of " << NameOf(architecture) << ": " << status;
      if (status.ok()) continue;
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(DetailOf(status).field, "flow.stack." + c.field);
    }
  }
}

TEST(ChooseFlowTest, ImagesHaveArchitecturesOfTheirOwn) {
  const auto choose = [](StackChoice stack, ImageShape image) {
    return ChooseFlow({.stack = std::move(stack), .image = image}, 1000,
                      image.height * image.width * image.channels, 0, 1);
  };
  struct Case {
    ImageShape image;
    int levels;
  };
  for (const Case& c : {Case{{28, 28, 1}, 2}, Case{{32, 32, 3}, 3}, Case{{3, 5, 1}, 1}}) {
    const auto spec = choose({}, c.image);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->stack->architecture, Architecture::kGlow);
    EXPECT_EQ(spec->stack->levels, c.levels);
    EXPECT_EQ(spec->image, c.image);
    EXPECT_EQ(spec->stack->hidden_sizes, std::vector<int>(2, 64));
    const auto real_nvp = choose({.architecture = Architecture::kRealNvpImage}, c.image);
    ASSERT_TRUE(real_nvp.ok()) << real_nvp.status();
    EXPECT_EQ(real_nvp->stack->hidden_sizes, std::vector<int>(3, 32));
    EXPECT_TRUE(real_nvp->stack->residual);
  }
  for (const auto& [field, choice] : {std::pair{"mixing", StackChoice{.mixing = Mixing::kLu}},
                                      std::pair{"whiten", StackChoice{.whiten = true}},
                                      std::pair{"heavy_tails", StackChoice{.heavy_tails = true}},
                                      std::pair{"mask", StackChoice{.mask = Mask::kHalf}},
                                      std::pair{"act_norm", StackChoice{.act_norm = true}},
                                      std::pair{"bins", StackChoice{.bins = 4}}})
    EXPECT_EQ(DetailOf(choose(choice, {8, 8, 1}).status()).field,
              absl::StrCat("flow.stack.", field));
  EXPECT_EQ(DetailOf(choose({.architecture = Architecture::kMaf}, {8, 8, 1}).status()).field,
            "flow.stack.architecture");
  EXPECT_EQ(DetailOf(ChooseFlow({{.levels = 2}}, 1000, 64, 0, 1).status()).field,
            "flow.stack.levels");
}

TEST(ChooseFlowTest, WeightsAreNormalisedOnlyWhereTheCallerSaysSo) {
  const auto choose = [](StackChoice stack) {
    return ChooseFlow({.stack = std::move(stack), .image = {{8, 8, 1}}}, 1000, 64, 0, 1);
  };
  constexpr auto kRealNvp = Architecture::kRealNvpImage;
  EXPECT_FALSE(choose({.architecture = kRealNvp})->stack->weight_norm);
  EXPECT_TRUE(choose({.architecture = kRealNvp, .weight_norm = true})->stack->weight_norm);
  EXPECT_FALSE(choose({.hidden_sizes = {{8, 8, 8}}, .residual = true})->stack->weight_norm);
  EXPECT_TRUE(choose({.hidden_sizes = {{8, 8, 8}}, .residual = true, .weight_norm = true})
                  ->stack->weight_norm);
  EXPECT_EQ(DetailOf(choose({.weight_norm = true}).status()).field, "flow.stack.weight_norm");
  EXPECT_EQ(DetailOf(ChooseFlow({{.weight_norm = true}}, 1000, 64, 0, 1).status()).field,
            "flow.stack.weight_norm");
}

TEST(ChooseFlowTest, MoreRowsAffordMore) {
  for (const int dim : {2, 20}) {
    double parameters = 0;
    for (const std::int64_t rows : {100, 1000, 100000}) {
      const auto flow = Flow::Create(*ChooseFlow({}, rows, dim, 0, 1));
      const auto count = static_cast<double>((*flow)->layout().count());
      EXPECT_GE(count, parameters);
      parameters = count;
    }
  }
}

TEST(ChooseFlowTest, WhatTheCallerChoosesStays) {
  const StackSpec maf = Chosen({.layers = 3,
                                .hidden_sizes = std::vector<int>{10, 20},
                                .residual = false,
                                .mixing = Mixing::kReverse,
                                .activation = Activation::kElu,
                                .act_norm = true,
                                .whiten = false,
                                .heavy_tails = false},
                               1000, 5);
  EXPECT_EQ(maf, (StackSpec{.layers = 3,
                            .hidden_sizes = {10, 20},
                            .residual = false,
                            .mixing = Mixing::kReverse,
                            .activation = Activation::kElu,
                            .act_norm = true,
                            .whiten = false}));
}

TEST(ChooseFlowTest, TheRestFollowsWhatIsChosen) {
  EXPECT_FALSE(Chosen({.hidden_sizes = std::vector<int>{10, 20}}, 1000, 5).residual);
  EXPECT_FALSE(Chosen({.hidden_sizes = std::vector<int>{10}}, 1000, 5).residual);
  EXPECT_TRUE(Chosen({.hidden_sizes = std::vector<int>{10, 10, 10}}, 1000, 5).residual);
  EXPECT_EQ(Chosen({.residual = false}, 1000, 5).hidden_sizes.size(), 2u);
  EXPECT_EQ(Chosen({.residual = true}, 1000, 5).hidden_sizes.size() % 2, 1u);
  EXPECT_FALSE(Chosen({.mixing = Mixing::kNone}, 1000, 5).whiten)
      << "the chain is to stay triangular";
  EXPECT_TRUE(Chosen({.mixing = Mixing::kReverse}, 1000, 5).whiten);
  EXPECT_EQ(Chosen({.layers = 1}, 1000, 5).layers, 1);
}

TEST(ChooseFlowTest, ContradictionsNameTheirField) {
  struct Case {
    StackChoice choice;
    int dim;
    std::string field;
  };
  for (const Case& c : {
           Case{{.layers = 0}, 2, "flow.stack.layers"},
           Case{{.layers = -1}, 2, "flow.stack.layers"},
           Case{{.layers = 65}, 2, "flow.stack.layers"},
           Case{{.hidden_sizes = std::vector<int>{}}, 2, "flow.stack.hidden_sizes"},
           Case{{.hidden_sizes = std::vector<int>(17, 4)}, 2, "flow.stack.hidden_sizes"},
           Case{{.hidden_sizes = std::vector<int>{0}}, 2, "flow.stack.hidden_sizes"},
           Case{{.hidden_sizes = std::vector<int>{-3}}, 2, "flow.stack.hidden_sizes"},
           Case{{.hidden_sizes = std::vector<int>{8193}}, 2, "flow.stack.hidden_sizes"},
           Case{{.hidden_sizes = std::vector<int>{8, 8}, .residual = true},
                2,
                "flow.stack.hidden_sizes"},
           Case{{.hidden_sizes = std::vector<int>{8, 8, 9}, .residual = true},
                2,
                "flow.stack.hidden_sizes"},
           Case{
               {.architecture = Architecture::kNsfAutoregressive, .bins = 1}, 2, "flow.stack.bins"},
           Case{{.architecture = Architecture::kNsfCoupling, .bins = 33}, 2, "flow.stack.bins"},
           Case{{.bound = -1.0}, 2, "flow.stack.bound"},
           Case{{.bound = 1001.0}, 2, "flow.stack.bound"},
           Case{{.architecture = Architecture::kMadeMog, .components = 33},
                2,
                "flow.stack.components"},
           Case{{.components = 0}, 2, "flow.stack.components"},
           Case{{.width = 3}, 2, "flow.stack.width"},
           Case{{.width = 33}, 100, "flow.stack.width"},
           Case{{.width = 0}, 2, "flow.stack.width"},
           Case{{}, 0, "flow.dim"},
           Case{{}, 4097, "flow.dim"},
       }) {
    const absl::Status status = ChooseFlow({c.choice}, 1000, c.dim, 0, 1).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.field;
    EXPECT_EQ(DetailOf(status).field, c.field) << status;
    EXPECT_NE(DetailOf(status).expected, "") << status;
  }
}

TEST(ChooseFitOptionsTest, DefaultsAreInRangeWhateverTheTable) {
  for (const std::int64_t rows : {2L, 6L, 100L, 5000L, 1000000L, 1000000000L})
    for (const int dim : {1, 4, 5, 100}) {
      const FitOptions fit = ChooseFitOptions({}, rows, dim);
      EXPECT_GE(fit.batch_size, 32);
      EXPECT_LE(fit.batch_size, 256);
      EXPECT_GE(fit.max_epochs, 3);
      EXPECT_LE(fit.max_epochs, 200);
      EXPECT_EQ(fit.max_duration, absl::InfiniteDuration()) << "the clock would make runs differ";
      EXPECT_GT(fit.learning_rate, 0.0);
      EXPECT_GE(fit.patience, 1);
      EXPECT_GT(fit.gradient_clip_norm, 0.0);
    }
}

TEST(ChooseFitOptionsTest, ScalesOfPixelsAreNotHeldNearThoseOfAGaussian) {
  for (const std::int64_t rows : {1000, 50000}) {
    EXPECT_GT(ChooseFitOptions({}, rows, 784).log_scale_penalty, 0.0);
    EXPECT_EQ(ChooseFitOptions({}, rows, 784, RowKind::kPixels).log_scale_penalty, 0.0);
    EXPECT_EQ(ChooseFitOptions({}, rows, 784, RowKind::kImages).log_scale_penalty, 0.0);
  }
}

TEST(ChooseFitOptionsTest, WhatTheCallerChoosesStays) {
  TrainOptions options;
  options.batch_size = 10;
  options.max_epochs = 11;
  options.max_duration = absl::Seconds(12);
  options.learning_rate = 0.13;
  options.schedule = LearningRateSchedule::kConstant;
  options.warmup_steps = 14;
  options.weight_decay = 0.15;
  options.ema_decay = 0.0;
  options.gradient_clip_norm = 0.0;
  options.patience = 16;
  options.seed = 17;
  const FitOptions fit = ChooseFitOptions(options, 1000, 3);
  EXPECT_EQ(fit.batch_size, 10);
  EXPECT_EQ(fit.max_epochs, 11);
  EXPECT_EQ(fit.max_duration, absl::Seconds(12));
  EXPECT_EQ(fit.learning_rate, 0.13);
  EXPECT_EQ(fit.schedule, LearningRateSchedule::kConstant);
  EXPECT_EQ(fit.warmup_steps, 14);
  EXPECT_EQ(fit.weight_decay, 0.15);
  EXPECT_EQ(fit.ema_decay, 0.0);
  EXPECT_EQ(fit.gradient_clip_norm, 0.0);
  EXPECT_EQ(fit.patience, 16);
  EXPECT_EQ(fit.seed, 17u);
}

TEST(ValidateOptionsTest, DefaultsAndEndsOfRangesAreValid) {
  EXPECT_TRUE(Validate(TrainOptions{}).ok());
  TrainOptions options;
  options.batch_size = 65536;
  options.max_epochs = 1000000;
  options.learning_rate = 1.0;
  options.warmup_steps = 0;
  options.weight_decay = 1.0;
  options.ema_decay = 0.0;
  options.gradient_clip_norm = 0.0;
  options.patience = 1;
  options.max_duration = absl::InfiniteDuration();
  options.validation_fraction = options.calibration_fraction = 0.5;
  options.false_positive_rate = 0.5;
  EXPECT_TRUE(Validate(options).ok()) << Validate(options);
}

TEST(ChooseHeldOutRowsTest, ATenthButNoMoreThanEnoughOfImages) {
  struct Case {
    std::optional<double> validation_fraction, calibration_fraction;
    std::int64_t rows;
    bool images;
    std::int64_t validation, calibration;
  };
  for (const Case& c :
       {Case{{}, {}, 8, false, 1, 1}, Case{{}, {}, 50000, false, 5000, 5000},
        Case{{}, {}, 3, true, 1, 1}, Case{{}, {}, 5000, true, 500, 500},
        Case{{}, {}, 50000, true, 2000, 2000},
        // What the caller asks for stays.
        Case{0.2, {}, 50000, true, 10000, 2000}, Case{{}, 0.05, 50000, true, 2000, 2500},
        Case{{}, 1e-9, 100, false, 10, 1}}) {
    TrainOptions options;
    options.validation_fraction = c.validation_fraction;
    options.calibration_fraction = c.calibration_fraction;
    const HeldOutRows rows = ChooseHeldOutRows(options, c.rows, c.images);
    EXPECT_EQ(rows.validation, c.validation) << c.rows;
    EXPECT_EQ(rows.calibration, c.calibration) << c.rows;
  }
}

TEST(ValidateOptionsTest, NamesTheField) {
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  struct Case {
    std::string field;
    std::function<void(TrainOptions&)> spoil;
  };
  for (const auto& [field, spoil] : {
           Case{"batch_size", [](TrainOptions& o) { o.batch_size = 0; }},
           Case{"batch_size", [](TrainOptions& o) { o.batch_size = 65537; }},
           Case{"max_epochs", [](TrainOptions& o) { o.max_epochs = 0; }},
           Case{"max_epochs", [](TrainOptions& o) { o.max_epochs = 1000001; }},
           Case{"max_duration", [](TrainOptions& o) { o.max_duration = absl::ZeroDuration(); }},
           Case{"max_duration",
                [](TrainOptions& o) { o.max_duration = -absl::InfiniteDuration(); }},
           Case{"learning_rate", [](TrainOptions& o) { o.learning_rate = 0.0; }},
           Case{"learning_rate", [](TrainOptions& o) { o.learning_rate = -1e-3; }},
           Case{"learning_rate", [](TrainOptions& o) { o.learning_rate = 1.5; }},
           Case{"learning_rate", [](TrainOptions& o) { o.learning_rate = kNan; }},
           Case{"warmup_steps", [](TrainOptions& o) { o.warmup_steps = -1; }},
           Case{"weight_decay", [](TrainOptions& o) { o.weight_decay = -0.1; }},
           Case{"weight_decay", [](TrainOptions& o) { o.weight_decay = kInfinity; }},
           Case{"ema_decay", [](TrainOptions& o) { o.ema_decay = 1.0; }},
           Case{"ema_decay", [](TrainOptions& o) { o.ema_decay = kNan; }},
           Case{"gradient_clip_norm", [](TrainOptions& o) { o.gradient_clip_norm = -1.0; }},
           Case{"gradient_clip_norm", [](TrainOptions& o) { o.gradient_clip_norm = kInfinity; }},
           Case{"patience", [](TrainOptions& o) { o.patience = 0; }},
           Case{"validation_fraction", [](TrainOptions& o) { o.validation_fraction = 0.0; }},
           Case{"validation_fraction", [](TrainOptions& o) { o.validation_fraction = 0.6; }},
           Case{"validation_fraction", [](TrainOptions& o) { o.validation_fraction = kNan; }},
           Case{"calibration_fraction", [](TrainOptions& o) { o.calibration_fraction = -0.1; }},
           Case{"false_positive_rate", [](TrainOptions& o) { o.false_positive_rate = 0.0; }},
           Case{"false_positive_rate", [](TrainOptions& o) { o.false_positive_rate = 1.0; }},
       }) {
    TrainOptions options;
    spoil(options);
    const absl::Status status = Validate(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_EQ(DetailOf(status).field, "options." + field) << status;
    EXPECT_NE(DetailOf(status).value, "") << field;
    EXPECT_NE(DetailOf(status).expected, "") << field;
  }
}

}  // namespace
}  // namespace millrace
