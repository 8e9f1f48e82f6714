// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/train_spec.h"

#include <cmath>
#include <functional>
#include <string>

#include "core/base/error_detail.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

constexpr Limits kLimits{.max_columns = 3};

TEST(TrainSpec, UnsetFieldsAreLeftToTheTrainer) {
  const auto request = ReadTrainSpec(v1::TrainSpec(), kLimits);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_TRUE(request->columns.empty());
  EXPECT_FALSE(request->flow.stack.layers);
  EXPECT_FALSE(request->flow.stack.hidden_sizes);
  EXPECT_FALSE(request->flow.stack.residual);
  EXPECT_FALSE(request->flow.stack.mixing);
  EXPECT_FALSE(request->flow.stack.activation);
  EXPECT_FALSE(request->flow.stack.act_norm);
  EXPECT_FALSE(request->options.batch_size);
  EXPECT_FALSE(request->options.max_duration);
  EXPECT_FALSE(request->options.ema_decay);
  EXPECT_FALSE(request->options.weight_decay);
  EXPECT_EQ(request->options.seed, 0U);
}

TEST(TrainSpec, ReadsEveryField) {
  v1::TrainSpec spec;
  v1::ColumnSpec* column = spec.add_columns();
  column->set_name("größe");
  column->set_type(v1::COLUMN_TYPE_DISCRETE);
  column->set_lower_bound(0);
  column->set_upper_bound(9);
  column->set_bin_width(0.5);
  v1::StackSpec* maf = spec.mutable_flow()->mutable_stack();
  maf->set_layers(3);
  for (const std::uint32_t size : {16U, 16U, 16U}) maf->add_hidden_sizes(size);
  maf->set_residual(true);
  maf->set_mixing(v1::MIXING_LU);
  maf->set_activation(v1::ACTIVATION_TANH);
  maf->set_act_norm(true);
  maf->set_heavy_tails(false);
  v1::TrainingOptions* options = spec.mutable_options();
  options->set_batch_size(32);
  options->set_max_epochs(7);
  options->mutable_max_duration()->set_seconds(90);
  options->set_learning_rate(0.01);
  options->set_schedule(v1::LEARNING_RATE_SCHEDULE_CONSTANT);
  options->set_warmup_steps(0);
  options->set_weight_decay(0.0);
  options->set_ema_decay(0.5);
  options->set_gradient_clip_norm(2.0);
  options->set_patience(4);
  options->set_validation_fraction(0.2);
  options->set_calibration_fraction(0.3);
  options->set_seed(99);
  options->set_false_positive_rate(0.05);
  const auto request = ReadTrainSpec(spec, kLimits);
  ASSERT_TRUE(request.ok()) << request.status();
  ASSERT_EQ(request->columns.size(), 1U);
  EXPECT_EQ(request->columns[0].name, "größe");
  EXPECT_EQ(request->columns[0].type, ColumnType::kDiscrete);
  EXPECT_EQ(request->columns[0].lower, 0.0);
  EXPECT_EQ(request->columns[0].upper, 9.0);
  EXPECT_EQ(request->columns[0].bin_width, 0.5);
  EXPECT_EQ(request->flow.stack.layers, 3);
  EXPECT_EQ(request->flow.stack.hidden_sizes, (std::vector<int>{16, 16, 16}));
  EXPECT_EQ(request->flow.stack.residual, true);
  EXPECT_EQ(request->flow.stack.mixing, Mixing::kLu);
  EXPECT_EQ(request->flow.stack.activation, Activation::kTanh);
  EXPECT_EQ(request->flow.stack.act_norm, true);
  EXPECT_EQ(request->flow.stack.heavy_tails, false);
  EXPECT_EQ(request->options.batch_size, 32);
  EXPECT_EQ(request->options.max_epochs, 7);
  EXPECT_EQ(request->options.max_duration, absl::Seconds(90));
  EXPECT_EQ(request->options.learning_rate, 0.01);
  EXPECT_EQ(request->options.schedule, LearningRateSchedule::kConstant);
  EXPECT_EQ(request->options.warmup_steps, 0);
  EXPECT_EQ(request->options.weight_decay, 0.0);
  EXPECT_EQ(request->options.ema_decay, 0.5);
  EXPECT_EQ(request->options.gradient_clip_norm, 2.0);
  EXPECT_EQ(request->options.patience, 4);
  EXPECT_EQ(request->options.validation_fraction, 0.2);
  EXPECT_EQ(request->options.calibration_fraction, 0.3);
  EXPECT_EQ(request->options.seed, 99U);
  EXPECT_EQ(request->options.false_positive_rate, 0.05);
}

struct Case {
  std::string field;
  std::function<void(v1::TrainSpec&)> spoil;
};

v1::TrainingOptions& Options(v1::TrainSpec& spec) { return *spec.mutable_options(); }
v1::StackSpec& Maf(v1::TrainSpec& spec) { return *spec.mutable_flow()->mutable_stack(); }
v1::ColumnSpec& AddColumn(v1::TrainSpec& spec, const std::string& name) {
  spec.add_columns()->set_name(name);
  return *spec.mutable_columns(spec.columns_size() - 1);
}

TEST(TrainSpec, NamesTheFieldThatIsWrong) {
  const Case cases[] = {
      {"columns[0].name", [](auto& s) { AddColumn(s, ""); }},
      {"columns[0].name", [](auto& s) { AddColumn(s, std::string(257, 'x')); }},
      {"columns[0].name", [](auto& s) { AddColumn(s, std::string("a\0b", 3)); }},
      {"columns[1].name", [](auto& s) { AddColumn(s, "a"), AddColumn(s, "a"); }},
      {"columns[0].type", [](auto& s) { AddColumn(s, "a").set_type(v1::COLUMN_TYPE_CONSTANT); }},
      {"columns[0].type",
       [](auto& s) { AddColumn(s, "a").set_type(static_cast<v1::ColumnType>(77)); }},
      {"columns[0].lower_bound", [](auto& s) { AddColumn(s, "a").set_lower_bound(NAN); }},
      {"columns[0].upper_bound", [](auto& s) { AddColumn(s, "a").set_upper_bound(INFINITY); }},
      {"columns[0].lower_bound",
       [](auto& s) {
         AddColumn(s, "a").set_lower_bound(1);
         s.mutable_columns(0)->set_upper_bound(1);
       }},
      {"columns[0].bin_width", [](auto& s) { AddColumn(s, "a").set_bin_width(0); }},
      {"columns[0].bin_width", [](auto& s) { AddColumn(s, "a").set_bin_width(NAN); }},
      {"columns[0].bin_width",
       [](auto& s) {
         AddColumn(s, "a").set_bin_width(1);
         s.mutable_columns(0)->set_type(v1::COLUMN_TYPE_CONTINUOUS);
       }},
      {"flow.stack.layers", [](auto& s) { Maf(s).set_layers(65); }},
      {"flow.stack.layers", [](auto& s) { Maf(s).set_layers(4'294'967'295U); }},
      {"flow.stack.hidden_sizes", [](auto& s) { Maf(s).add_hidden_sizes(0); }},
      {"flow.stack.hidden_sizes", [](auto& s) { Maf(s).add_hidden_sizes(4'294'967'295U); }},
      {"flow.stack.hidden_sizes",
       [](auto& s) {
         for (int i = 0; i < 17; ++i) Maf(s).add_hidden_sizes(8);
       }},
      {"flow.stack.hidden_sizes",
       [](auto& s) {
         Maf(s).set_residual(true);
         for (const std::uint32_t size : {8U, 8U, 16U}) Maf(s).add_hidden_sizes(size);
       }},
      {"flow.stack.mixing", [](auto& s) { Maf(s).set_mixing(static_cast<v1::Mixing>(99)); }},
      {"flow.stack.activation",
       [](auto& s) { Maf(s).set_activation(static_cast<v1::Activation>(-1)); }},
      {"options.batch_size", [](auto& s) { Options(s).set_batch_size(65'537); }},
      {"options.max_epochs", [](auto& s) { Options(s).set_max_epochs(4'000'000'000U); }},
      {"options.max_duration", [](auto& s) { Options(s).mutable_max_duration(); }},
      {"options.max_duration", [](auto& s) { Options(s).mutable_max_duration()->set_seconds(-5); }},
      {"options.learning_rate", [](auto& s) { Options(s).set_learning_rate(-0.1); }},
      {"options.learning_rate", [](auto& s) { Options(s).set_learning_rate(NAN); }},
      {"options.learning_rate", [](auto& s) { Options(s).set_learning_rate(1.5); }},
      {"options.schedule",
       [](auto& s) { Options(s).set_schedule(static_cast<v1::LearningRateSchedule>(9)); }},
      {"options.warmup_steps", [](auto& s) { Options(s).set_warmup_steps(1'000'001); }},
      {"options.weight_decay", [](auto& s) { Options(s).set_weight_decay(1.5); }},
      {"options.ema_decay", [](auto& s) { Options(s).set_ema_decay(1.0); }},
      {"options.gradient_clip_norm", [](auto& s) { Options(s).set_gradient_clip_norm(INFINITY); }},
      {"options.patience", [](auto& s) { Options(s).set_patience(4'000'000'000U); }},
      {"options.validation_fraction", [](auto& s) { Options(s).set_validation_fraction(0.6); }},
      {"options.calibration_fraction", [](auto& s) { Options(s).set_calibration_fraction(-0.1); }},
      {"options.calibration_fraction",
       [](auto& s) {
         Options(s).set_validation_fraction(0.5);
         Options(s).set_calibration_fraction(0.5);
       }},
      {"options.false_positive_rate", [](auto& s) { Options(s).set_false_positive_rate(1.0); }},
  };
  for (const Case& test : cases) {
    v1::TrainSpec spec;
    test.spoil(spec);
    const absl::Status status = ReadTrainSpec(spec, kLimits).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << test.field << ": " << status;
    EXPECT_EQ(DetailOf(status).field, test.field) << status;
  }
}

TEST(TrainSpec, TooManyColumns) {
  v1::TrainSpec spec;
  for (const char* name : {"a", "b", "c", "d"}) AddColumn(spec, name);
  const absl::Status status = ReadTrainSpec(spec, kLimits).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(DetailOf(status).field, "columns");
}

TEST(TrainSpec, ColumnsMustMatchTheTable) {
  TrainRequest request;
  EXPECT_TRUE(CheckWidth(request, 5, kLimits).ok());
  request.columns.resize(2);
  EXPECT_TRUE(CheckWidth(request, 2, kLimits).ok());
  EXPECT_EQ(DetailOf(CheckWidth(request, 3, kLimits)).field, "columns");
}

// Its columns need not be listed: the table's width tells whether they fit.
TEST(TrainSpec, AnImageMustMatchTheTable) {
  v1::TrainSpec message;
  message.mutable_flow()->mutable_image()->set_height(28);
  message.mutable_flow()->mutable_image()->set_width(28);
  message.mutable_flow()->mutable_image()->set_channels(1);
  const auto request = ReadTrainSpec(message, kLimits);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_TRUE(CheckWidth(*request, 784, kLimits).ok());
  EXPECT_EQ(DetailOf(CheckWidth(*request, 783, kLimits)).field, "flow.image");
  message.mutable_flow()->mutable_image()->set_width(4294967295u);
  const auto huge = ReadTrainSpec(message, kLimits);
  EXPECT_FALSE(huge.ok() && CheckWidth(*huge, 784, kLimits).ok());
}

TEST(TrainSpec, TheFlowHasALimitAtTheWidthOfTheTable) {
  TrainRequest request;
  request.flow.stack.architecture = Architecture::kMaf;
  request.flow.stack.layers = 1;
  request.flow.stack.hidden_sizes = {10};
  constexpr Limits kFewParameters{.max_parameters = 2000};
  EXPECT_TRUE(CheckWidth(request, 2, kFewParameters).ok());
  const absl::Status status = CheckWidth(request, 100, kFewParameters);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(DetailOf(status).field, "flow");
  EXPECT_NE(DetailOf(status).expected.find("--max_parameters"), std::string::npos);
}

}  // namespace
}  // namespace millrace
