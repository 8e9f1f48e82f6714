// SPDX-License-Identifier: Apache-2.0
// What training chooses for a table nobody tuned for, and what callers may choose.
#include "core/train/choices.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/base/error_detail.h"
#include "core/flow/flow.h"

namespace millrace {
namespace {

StackSpec Chosen(const StackChoice& choice, std::int64_t rows, int dim) {
  const absl::StatusOr<FlowSpec> spec = ChooseFlow({choice}, rows, dim, 0, 3);
  EXPECT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->dim, dim);
  EXPECT_EQ(spec->seed, 3u);
  return *spec->stack;
}

TEST(ChooseFlowTest, EveryTableGetsAFlowThatStartsAsAGaussian) {
  for (const std::int64_t rows : {2L, 8L, 499L, 500L, 3999L, 4000L, 100000000L})
    for (const int dim : {1, 2, 4, 5, 63, 4096}) {
      const absl::StatusOr<FlowSpec> spec = ChooseFlow({}, rows, dim, 0, 1);
      ASSERT_TRUE(spec.ok()) << spec.status() << rows << " " << dim;
      EXPECT_TRUE(spec->stack->whiten);
      EXPECT_TRUE(spec->stack->heavy_tails);
    }
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
