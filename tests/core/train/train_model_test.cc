// SPDX-License-Identifier: Apache-2.0
// From a table to a model.
#include "core/train/train_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error_detail.h"
#include "core/score/density.h"
#include "tests/core/train/tables.h"

namespace millrace {
namespace {

std::vector<double> LogProbOf(Model model, const Rows<double>& rows) {
  const auto backend = CreateCpuBackend({.threads = 2});
  const auto density = Density::Create(std::make_shared<Model>(std::move(model)), *backend);
  return (*density)->LogProb(rows.view(), {})->log_prob;
}

double Mean(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

bool Warns(const Model& model, const std::string& text) {
  return std::ranges::any_of(model.report.warnings, [&](const std::string& warning) {
    return warning.find(text) != std::string::npos;
  });
}

TEST(TrainModelTest, TwoMoonsComeWithinATenthOfANat) {
  TrainRequest request;
  request.options.max_epochs = 80;
  const absl::StatusOr<Model> model = Train(request, TwoMoons::Table(8000, 1));
  ASSERT_TRUE(model.ok()) << model.status();
  const Rows<double> fresh = TwoMoons::Table(4000, 2);
  std::vector<double> exact(4000);
  for (int r = 0; r < 4000; ++r) exact[r] = TwoMoons::LogDensity(fresh(r, 0), fresh(r, 1));
  EXPECT_NEAR(Mean(LogProbOf(*model, fresh)), Mean(exact), 0.1);
  EXPECT_FALSE(model->report.gaussian_fallback);
  EXPECT_GT(model->report.held_out.mean, model->report.gaussian_held_out.mean + 0.3);
  EXPECT_NEAR(model->report.held_out.mean - model->report.log_unit, Mean(exact), 0.2);
}

TEST(TrainModelTest, AGaussianTableGetsTheGaussian) {
  Rows<double> table = NormalTable(600, 3, 1);
  for (int r = 0; r < 600; ++r) table(r, 2) += 2.0 * table(r, 0);
  const absl::StatusOr<Model> model = Train({}, table);
  ASSERT_TRUE(model.ok());
  EXPECT_TRUE(model->report.gaussian_fallback);
  EXPECT_TRUE(Warns(*model, "Gaussian"));
  EXPECT_EQ(model->spec.stack->layers, 0);
  EXPECT_NEAR(model->report.held_out.mean, model->report.gaussian_held_out.mean, 1e-4);
}

TEST(TrainModelTest, ThePartsOfTheSplitAreDisjointAndSizedAsAsked) {
  const Rows<double> table = TwoMoons::Table(1000, 3);
  TrainRequest request = Quick(30);
  request.options.validation_fraction = 0.2;
  request.options.calibration_fraction = 0.05;
  const absl::StatusOr<Model> model = Train(request, table);
  ASSERT_TRUE(model.ok());
  const TrainingReport& report = model->report;
  ASSERT_FALSE(report.gaussian_fallback);
  EXPECT_EQ(report.fit.rows, 750);
  EXPECT_EQ(report.validation.rows, 200);
  EXPECT_EQ(report.held_out.rows, 50);
  EXPECT_EQ(report.gaussian_held_out.rows, 50);
  ASSERT_EQ(model->calibration.log_probs.size(), 50u);
  EXPECT_TRUE(std::ranges::is_sorted(model->calibration.log_probs));
  std::vector<double> all = LogProbOf(*model, table);
  // The sums of the parts make up the sum of the whole.
  const double sum =
      750 * report.fit.mean + 200 * report.validation.mean + 50 * report.held_out.mean;
  EXPECT_NEAR(sum, 1000 * (Mean(all) + report.log_unit), 1e-6);
  std::ranges::sort(all);
  EXPECT_TRUE(std::ranges::includes(all, model->calibration.log_probs));
}

TEST(TrainModelTest, TheReportSaysWhatWasDone) {
  std::vector<TrainProgress> seen;
  const Rows<double> table = TwoMoons::Table(500, 4);
  TrainRequest request = Quick(3);
  request.options.batch_size = 100;
  request.options.false_positive_rate = 0.2;
  const absl::StatusOr<Model> model =
      Train(request, table, 2, [&](const TrainProgress& p) { seen.push_back(p); });
  ASSERT_TRUE(model.ok());
  const TrainingReport& report = model->report;
  EXPECT_EQ(report.epochs, 3);
  EXPECT_EQ(report.steps, 12);
  EXPECT_EQ(report.stop_reason, StopReason::kMaxEpochs);
  EXPECT_EQ(report.divergences, 0);
  EXPECT_GT(report.seconds, 0.0);
  EXPECT_EQ(model->calibration.false_positive_rate, 0.2);
  EXPECT_FALSE(Warns(*model, "false_positive_rate"));
  EXPECT_GT(model->create_time_unix_micros, 0);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen.back().epoch, 3);
  request.options.false_positive_rate = 0.001;
  EXPECT_TRUE(Warns(*Train(request, table), "false_positive_rate"));
}

// Whatever columns do to their values, progress counts in the report's unit.
TEST(TrainModelTest, ProgressIsInStandardisedUnits) {
  Rows<double> table = TwoMoons::Table(1000, 5);
  for (int r = 0; r < 1000; ++r) table(r, 1) = 50.0 * std::exp(2.0 * table(r, 1));
  TrainRequest request = Quick(40);
  request.columns = {{.name = "a"}, {.name = "b", .lower = 0.0}};
  TrainProgress last;
  const absl::StatusOr<Model> model =
      Train(request, table, 2, [&](const TrainProgress& p) { last = p; });
  ASSERT_TRUE(model.ok());
  ASSERT_FALSE(model->report.gaussian_fallback);
  EXPECT_NEAR(last.best_validation_nats, model->report.validation.mean, 1e-3);
  EXPECT_NEAR(last.train_nats, model->report.fit.mean, 0.3);
}

TEST(TrainModelTest, ColumnsWithoutNamesAreNumbered) {
  const absl::StatusOr<Model> model = Train(Quick(1), NormalTable(100, 3, 1));
  ASSERT_TRUE(model.ok());
  ASSERT_EQ(model->columns.num_columns(), 3);
  for (int c = 0; c < 3; ++c) EXPECT_EQ(model->columns.columns()[c].name, "x" + std::to_string(c));
}

TEST(TrainModelTest, APartialArchitectureIsCompleted) {
  TrainRequest request;
  request.flow.stack.layers = 1;
  request.options.max_epochs = 20;
  request.options.seed = 3;
  const absl::StatusOr<Model> model = Train(request, TwoMoons::Table(1000, 6));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->spec.stack->layers, 1);
  EXPECT_GT(model->parameters.size(), 0u);
}

// A planar layer says no more of a Gaussian table than a Gaussian does.
TEST(TrainModelTest, AChainIsNotReplacedByAGaussian) {
  TrainRequest request;
  request.options.max_epochs = 2;
  LayerSpec planar;
  planar.vector = VectorBijection{};
  request.flow.chain = {planar};
  const absl::StatusOr<Model> model = Train(request, NormalTable(600, 3, 5));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_FALSE(model->report.gaussian_fallback);
  EXPECT_EQ(model->spec.chain, request.flow.chain);
}

TEST(TrainModelTest, ConstantDiscreteAndBoundedColumns) {
  Rows<double> table = NormalTable(1500, 4, 7);
  for (int r = 0; r < 1500; ++r) {
    table(r, 1) = 5.5;
    table(r, 2) = std::round(2.0 * table(r, 2) + table(r, 0) * table(r, 0));
    table(r, 3) = 1.0 / (1.0 + std::exp(-2.0 * table(r, 3) - table(r, 0)));
  }
  TrainRequest request = Quick(30);
  request.columns = {
      {.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d", .lower = 0.0, .upper = 1.0}};
  const absl::StatusOr<Model> model = Train(request, table);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->columns.columns()[1].type, ColumnType::kConstant);
  EXPECT_EQ(model->columns.columns()[2].type, ColumnType::kDiscrete);
  EXPECT_EQ(model->spec.dim, 3);
  EXPECT_FALSE(model->report.gaussian_fallback);
  EXPECT_GT(model->report.held_out.mean, model->report.gaussian_held_out.mean);
  const auto backend = CreateCpuBackend();
  const auto density = Density::Create(std::make_shared<Model>(*model), *backend);
  const auto samples = (*density)->Sample(1, 0, 500, 1.0, {});
  ASSERT_TRUE(samples.ok());
  for (int r = 0; r < 500; ++r) {
    EXPECT_EQ((*samples)(r, 1), 5.5);
    EXPECT_EQ((*samples)(r, 2), std::round((*samples)(r, 2)));
    EXPECT_GT((*samples)(r, 3), 0.0);
    EXPECT_LT((*samples)(r, 3), 1.0);
  }
}

// A flow that knows a rare event's probability is better than any Gaussian, and is kept.
TEST(TrainModelTest, RareEventsDoNotMakeTheGaussianWin) {
  const Rows<double> moons = TwoMoons::Table(2000, 8);
  Rows<double> table(2000, 4);
  for (int r = 0; r < 2000; ++r) {
    table(r, 0) = moons(r, 0);
    table(r, 1) = moons(r, 1);
    table(r, 2) = r % 25 == 0;
    table(r, 3) = r % 29 == 0;
  }
  TrainRequest request = Quick(30);
  const absl::StatusOr<Model> model = Train(request, table);
  ASSERT_TRUE(model.ok());
  EXPECT_FALSE(model->report.gaussian_fallback);
}

TEST(TrainModelTest, WhereBoundsMakeTheGaussianBetterTheReportSaysSo) {
  // Few values lie near the bound: their logarithms are so far out that the Gaussian of the
  // logarithms is too wide for all the others.
  Rows<double> table = NormalTable(60, 1, 9);
  for (int r = 0; r < 60; ++r) table(r, 0) = r % 20 == 0 ? 1e-4 : 5.0 + 0.1 * table(r, 0);
  TrainRequest request = Quick(1);
  request.columns = {{.name = "a", .lower = 0.0}};
  const absl::StatusOr<Model> model = Train(request, table);
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_LT(model->report.held_out.mean, model->report.gaussian_held_out.mean - 1e-3);
  EXPECT_TRUE(Warns(*model, "bounds aside"));
}

TEST(TrainModelTest, TailProbabilitiesAreTrueToTheirName) {
  TrainRequest request = Quick(10);
  request.options.calibration_fraction = 0.3;
  const absl::StatusOr<Model> model = Train(request, TwoMoons::Table(3000, 10));
  ASSERT_TRUE(model.ok());
  const double n = static_cast<double>(model->calibration.log_probs.size());
  const auto backend = CreateCpuBackend();
  const auto density = Density::Create(std::make_shared<Model>(*model), *backend);
  constexpr int kFresh = 4000;
  const auto scored = (*density)->Score(TwoMoons::Table(kFresh, 11).view(), {}, {});
  ASSERT_TRUE(scored.ok()) << scored.status();
  for (const double rate : {0.01, 0.05, 0.1, 0.5, 0.9}) {
    const double share = static_cast<double>(std::ranges::count_if(
                             scored->tail_probability, [&](double p) { return p <= rate; })) /
                         kFresh;
    // Of the calibration rows and of the fresh ones.
    const double deviation = std::sqrt(rate * (1.0 - rate) * (1.0 / n + 1.0 / kFresh));
    EXPECT_NEAR(share, rate, 5.0 * deviation + 1.0 / n) << rate;
  }
}

TEST(TrainModelTest, StopsSoonAfterItIsAskedTo) {
  std::stop_source stop;
  std::int64_t epochs = 0;
  const absl::Status status = Train(
                                  Quick(1000), NormalTable(2000, 3, 1), 2,
                                  [&](const TrainProgress& p) {
                                    epochs = p.epoch;
                                    if (p.epoch == 2) stop.request_stop();
                                  },
                                  stop.get_token())
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(epochs, 2);
  stop = std::stop_source();
  stop.request_stop();
  EXPECT_EQ(Train(Quick(1000), NormalTable(2000, 3, 1), 2, {}, stop.get_token()).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(TrainModelTest, ATimeBudgetIsKept) {
  TrainRequest request = Quick(1000000);
  request.options.max_duration = absl::Milliseconds(200);
  request.options.patience = 1000000;
  const absl::StatusOr<Model> model = Train(request, TwoMoons::Table(2000, 12));
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model->report.stop_reason, StopReason::kMaxDuration);
  EXPECT_LT(model->report.seconds, 5.0);
}

struct BadRequest {
  std::string what;
  std::function<void(TrainRequest&, Rows<double>&)> spoil;
  ErrorDetail detail;  // field, row and column
};

TEST(TrainModelTest, BadRequestsNameTheirFault) {
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const BadRequest& bad : {
           BadRequest{
               "few rows", [](auto&, auto&t) { t = NormalTable(kMinRows - 1, 2, 1); }, {"rows"}},
           BadRequest{"no rows", [](auto&, auto&t) { t = Rows<double>(0, 2); }, {"rows"}},
           BadRequest{"no columns", [](auto&, auto&t) { t = Rows<double>(20, 0); }, {"rows"}},
           BadRequest{"NaN", [](auto&, auto&t) { t(13, 1) = kNan; }, {"rows", 13, 1}},
           BadRequest{"infinity", [](auto&, auto&t) { t(2, 0) = -kInfinity; }, {"rows", 2, 0}},
           BadRequest{"constant", [](auto&, auto&t) { t = Rows<double>(30, 2); }, {"rows"}},
           BadRequest{
               "column missing", [](auto&q, auto&) { q.columns = {{.name = "a"}}; }, {"columns"}},
           BadRequest{"name twice",
                      [](auto&q, auto&) {
                        q.columns = {{.name = "a"}, {.name = "a"}};
                      },
                      {"columns[1].name"}},
           BadRequest{"no name",
                      [](auto&q, auto&) {
                        q.columns = {{.name = "a"}, {.name = ""}};
                      },
                      {"columns[1].name"}},
           BadRequest{"bounds",
                      [](auto&q, auto&) {
                        q.columns = {{.name = "a", .lower = 1.0, .upper = 0.0}, {.name = "b"}};
                      },
                      {"columns[0].lower"}},
           BadRequest{
               "layers", [](auto&q, auto&) { q.flow.stack.layers = 0; }, {"flow.stack.layers"}},
           BadRequest{
               "sizes",
               [](auto&q, auto&) {
                 q.flow.stack = {.hidden_sizes = std::vector<int>{8, 9, 8}, .residual = true};
               },
               {"flow.stack.hidden_sizes"}},
           BadRequest{
               "batch", [](auto&q, auto&) { q.options.batch_size = 0; }, {"options.batch_size"}},
           BadRequest{"fractions",
                      [](auto&q, auto&) {
                        q.options.validation_fraction = q.options.calibration_fraction = 0.5;
                      },
                      {"options.calibration_fraction"}},
       }) {
    TrainRequest request = Quick();
    Rows<double> table = NormalTable(40, 2, 1);
    bad.spoil(request, table);
    const absl::Status status = Train(request, table).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.what << ": " << status;
    EXPECT_EQ(DetailOf(status).field, bad.detail.field) << bad.what << ": " << status;
    EXPECT_EQ(DetailOf(status).row, bad.detail.row) << bad.what;
    if (bad.detail.row) {
      EXPECT_EQ(DetailOf(status).column, bad.detail.column) << bad.what;
    }
  }
}

TEST(TrainModelTest, AFlowTooLargeIsRefusedBeforeItIsBuilt) {
  TrainRequest request;
  request.flow.stack = {.layers = 64, .hidden_sizes = std::vector<int>(15, 8192)};
  EXPECT_EQ(Train(request, NormalTable(20, 2, 1)).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace millrace
