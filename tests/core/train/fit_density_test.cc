// SPDX-License-Identifier: Apache-2.0
// Fits to densities that are known in full, and to densities that misbehave.
#include "core/train/fit_density.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/io/model_file.h"
#include "core/score/density.h"
#include "core/train/fit_target.h"

namespace millrace {
namespace {

using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A density by a function of one row, that writes the gradient.
class FunctionTarget final : public TargetDensity {
 public:
  using Function = std::function<double(std::span<const double> row, std::span<double> gradient)>;
  explicit FunctionTarget(Function function) : function_(std::move(function)) {}

  absl::Status Evaluate(RowsView<const double> x, std::span<double> log_density,
                        RowsView<double> gradient) override {
    ++calls;
    for (std::int64_t r = 0; r < x.rows; ++r) log_density[r] = function_(x.row(r), gradient.row(r));
    return status;
  }

  int calls = 0;
  absl::Status status;

 private:
  Function function_;
};

// e^3 times independent normals about 105 and -2, of deviations 12 and 0.1.
double TwoNormals(std::span<const double> row, std::span<double> gradient) {
  const double a = (row[0] - 105.0) / 12.0, b = (row[1] + 2.0) / 0.1;
  gradient[0] = -a / 12.0;
  gradient[1] = -b / 0.1;
  return 3.0 - 0.5 * (a * a + b * b) - std::log(2 * std::numbers::pi * 12.0 * 0.1);
}

// The standard normal of one column, with what is to go wrong.
double Normal(std::span<const double> row, std::span<double> gradient) {
  gradient[0] = -row[0];
  return -0.5 * row[0] * row[0];
}

FitDensityRequest SmallRequest(std::vector<DensityColumn> columns, int steps = 30) {
  FitDensityRequest request{.columns = std::move(columns)};
  request.flow.stack = {
      .architecture = Architecture::kMaf, .layers = 1, .hidden_sizes = std::vector<int>{8}};
  request.options = {.batch_size = 64, .steps = steps, .samples = 1000, .seed = 3};
  return request;
}

class FitDensityTest : public testing::Test {
 protected:
  absl::StatusOr<Model> Fit(const FitDensityRequest& request, TargetDensity& target,
                            int threads = 1, const ProgressCallback& progress = {},
                            std::stop_token stop = {}) const {
    const auto backend = CreateCpuBackend({.threads = threads});
    return FitDensity(request, target, *backend, progress, std::move(stop));
  }
  absl::Status StatusOf(const FunctionTarget::Function& function,
                        const FitDensityRequest& request = SmallRequest({{"x"}})) const {
    FunctionTarget target(function);
    return Fit(request, target).status();
  }
};

// Neighbours in a row of an image are correlated, by 0.8.
double CorrelatedPixels(std::span<const double> row, std::span<double> gradient) {
  constexpr double kCorrelation = 0.8, kRest = 1.0 - kCorrelation * kCorrelation;
  double log_density = -2.0 * std::log(2 * std::numbers::pi) - std::log(kRest);
  for (int i = 0; i < 4; i += 2) {
    const double a = row[i], b = row[i + 1];
    gradient[i] = -(a - kCorrelation * b) / kRest;
    gradient[i + 1] = -(b - kCorrelation * a) / kRest;
    log_density -= 0.5 * (a * a - 2 * kCorrelation * a * b + b * b) / kRest;
  }
  return log_density;
}

TEST_F(FitDensityTest, RowsMayBeImages) {
  FitDensityRequest request{.columns = {{"a"}, {"b"}, {"c"}, {"d"}}};
  request.flow.image = {2, 2, 1};
  request.flow.stack.layers = 3;
  request.options = {.batch_size = 64, .steps = 600, .learning_rate = 5e-3, .samples = 2000};
  FunctionTarget target(CorrelatedPixels);
  const absl::StatusOr<Model> fitted = Fit(request, target);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_EQ(fitted->spec.image, request.flow.image);
  EXPECT_EQ(fitted->spec.stack->architecture, Architecture::kGlow);
  EXPECT_GT(fitted->report.density_fit->effective_sample_fraction, 0.9);
  EXPECT_NEAR(fitted->report.density_fit->log_normaliser, 0.0, 0.05);

  request.flow.image = {2, 3, 1};
  EXPECT_EQ(DetailOf(Fit(request, target).status()).field, "flow.image");
  request.flow.image = {2, 2, 1};
  request.flow.stack.architecture = Architecture::kMaf;
  EXPECT_EQ(DetailOf(Fit(request, target).status()).field, "flow.stack.architecture");
}

TEST_F(FitDensityTest, FindsTwoNormalsInTheUsersUnits) {
  FitDensityRequest request = SmallRequest({{"a", 100.0, 10.0}, {"b", -1.9, 0.2}}, 1500);
  request.options.learning_rate = 1e-2;
  request.options.samples = 20000;
  FunctionTarget target(TwoNormals);
  absl::StatusOr<Model> fitted = Fit(request, target);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  ASSERT_TRUE(fitted->report.density_fit.has_value());
  const DensityFit fit = *fitted->report.density_fit;
  EXPECT_EQ(fit.samples, 20000);
  EXPECT_NEAR(fit.log_normaliser, 3.0, 0.01);
  EXPECT_GT(fit.effective_sample_fraction, 0.98);
  EXPECT_LT(std::fabs(fit.divergence), 0.01);
  EXPECT_EQ(fit.outside_fraction, 0.0);
  EXPECT_EQ(fitted->report.stop_reason, StopReason::kMaxSteps);
  EXPECT_EQ(fitted->report.steps, 1500);
  EXPECT_EQ(fitted->calibration.log_probs.size(), 20000u);

  const auto backend = CreateCpuBackend({.threads = 1});
  const auto density = *Density::Create(std::make_shared<Model>(*std::move(fitted)), *backend);
  Rows<double> rows(2, 2), gradient(2, 2);
  rows(0, 0) = 105.0, rows(0, 1) = -2.0;
  rows(1, 0) = 117.0, rows(1, 1) = -2.05;
  const auto log_prob = density->LogProb(rows.view(), {});
  ASSERT_TRUE(log_prob.ok());
  for (int r = 0; r < 2; ++r)
    EXPECT_NEAR(log_prob->log_prob[r], TwoNormals(rows.view().row(r), gradient.view().row(r)) - 3.0,
                0.1);
  // Calibrated by its own samples: its mode is as likely as can be.
  const auto score = density->Score(rows.view().Slice(0, 1), {}, {});
  ASSERT_TRUE(score.ok());
  EXPECT_GT(score->tail_probability[0], 0.95);
}

TEST_F(FitDensityTest, SameOnAnyNumberOfThreadsAndInItsFile) {
  const FitDensityRequest request = SmallRequest({{"a", 100.0, 10.0}, {"b", -1.9, 0.2}});
  FunctionTarget target(TwoNormals);
  const absl::StatusOr<Model> one = Fit(request, target, 1), many = Fit(request, target, 3);
  ASSERT_TRUE(one.ok() && many.ok());
  EXPECT_EQ(0, std::memcmp(one->parameters.data(), many->parameters.data(),
                           one->parameters.size() * sizeof(float)));
  EXPECT_EQ(one->report.density_fit, many->report.density_fit);
  const absl::StatusOr<Model> read = DecodeModel(*EncodeModel(*one));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->report, one->report);
}

TEST_F(FitDensityTest, TellsOfEveryRound) {
  std::vector<TrainProgress> told;
  FunctionTarget target(Normal);
  ASSERT_TRUE(Fit(SmallRequest({{"x"}}, 250), target, 1, [&](const TrainProgress& progress) {
                told.push_back(progress);
              }).ok());
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[0].step, 100);
  EXPECT_EQ(told[2].step, 250);
  EXPECT_EQ(told[2].epoch, 3);
  // ln p - ln q of nearly the same density.
  EXPECT_NEAR(told[2].train_nats, 0.5 * std::log(2 * std::numbers::pi), 0.1);
}

TEST_F(FitDensityTest, RefusesValuesThatAreNoneNamingRowAndPoint) {
  for (const double value : {kNan, kInfinity}) {
    int calls = 0;
    const absl::Status status = StatusOf([&](auto row, auto gradient) {
      const double log_density = Normal(row, gradient);
      return ++calls == 7 ? value : log_density;
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(status).field, "log_density");
    EXPECT_EQ(DetailOf(status).row, 6);
    EXPECT_THAT(DetailOf(status).value, HasSubstr(" at ("));
  }
  const absl::Status status = StatusOf([](auto row, auto gradient) {
    gradient[0] = kNan;
    return -0.5 * row[0] * row[0];
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(status).field, "gradient");
  EXPECT_EQ(DetailOf(status).row, 0);
  EXPECT_EQ(DetailOf(status).column, 0);
}

// A normal cut off at -2: what its gradient says there is not looked at.
TEST_F(FitDensityTest, CountsPointsOutside) {
  FitDensityRequest request = SmallRequest({{"x"}}, 200);
  request.options.samples = 20000;
  FunctionTarget target([](auto row, auto gradient) {
    const double log_density = Normal(row, gradient);
    if (row[0] > -2.0) return log_density;
    gradient[0] = kNan;
    return -kInfinity;
  });
  const absl::StatusOr<Model> model = Fit(request, target);
  ASSERT_TRUE(model.ok()) << model.status();
  const double share = 0.5 * std::erfc(2.0 / std::numbers::sqrt2);
  EXPECT_NEAR(model->report.density_fit->outside_fraction, share, 0.5 * share);
  EXPECT_NEAR(model->report.density_fit->log_normaliser,
              0.5 * std::log(2 * std::numbers::pi) + std::log(1 - share), 0.02);
  EXPECT_THAT(model->report.warnings, testing::Contains(HasSubstr("0 at")));
}

TEST_F(FitDensityTest, RefusesADensityThatIsZeroEverywhere) {
  const absl::Status status = StatusOf([](auto, auto) { return -kInfinity; });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("location"));
}

// ln p falls off like exp(x^2), its derivative beyond single precision at first.
TEST_F(FitDensityTest, FindsItsWayBackFromCliffs) {
  FitDensityRequest request = SmallRequest({{"x", 0.0, 30.0}}, 500);
  request.options.learning_rate = 3e-2;
  FunctionTarget target([](auto row, auto gradient) {
    const double cliff = std::exp(std::min(700.0, row[0] * row[0]));
    gradient[0] = std::clamp(-2 * row[0] * cliff, -1e300, 1e300);
    return std::max(-cliff, -1e300);
  });
  const absl::StatusOr<Model> model = Fit(request, target);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->report.divergences, 0);
  // By the trapezoidal rule.
  double integral = 0.0;
  for (double x = -3.0; x < 3.0; x += 0.001) integral += 0.001 * std::exp(-std::exp(x * x));
  EXPECT_NEAR(model->report.density_fit->log_normaliser, std::log(integral), 0.05);
}

// A flow whose samples go far beyond the image of the largest double.
TEST_F(FitDensityTest, SamplesBeyondAllDoublesAreValues) {
  using Kind = ScalarBijection::Kind;
  FitDensityRequest request = SmallRequest({{"x"}}, 1);
  request.flow.chain = {{{.elementwise = ScalarBijection{Kind::kLogTails}},
                         {.elementwise = ScalarBijection{Kind::kShiftAndCube}, .inverse = true}}};
  request.flow.stack = {};
  request.options.learning_rate = 1e-9;
  request.options.samples = 20000;
  double farthest = 0.0;
  FunctionTarget target([&](auto row, auto gradient) {
    farthest = std::max(farthest, std::fabs(row[0]));
    gradient[0] = 0.0;
    return 0.0;
  });
  const absl::StatusOr<Model> model = Fit(request, target);
  EXPECT_EQ(farthest, std::numeric_limits<double>::max());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(std::isfinite(model->report.density_fit->log_normaliser));
  EXPECT_TRUE(EncodeModel(*model).ok());
}

// A target of standardised rows that has `value` in the samples drawn after one step.
class SpoiltTarget final : public FlowTarget {
 public:
  explicit SpoiltTarget(double value) : value_(value) {}
  absl::Status Evaluate(RowsView<const float> x, std::span<double> log_density,
                        RowsView<float> gradient) override {
    for (std::int64_t r = 0; r < x.rows; ++r) {
      log_density[r] = calls_ > 0 && r == 5 ? value_ : -0.5 * x(r, 0) * x(r, 0);
      std::ranges::fill(gradient.row(r), 0.0f);
      gradient(r, 0) = -x(r, 0);
    }
    ++calls_;
    return absl::OkStatus();
  }

 private:
  const double value_;
  int calls_ = 0;
};

TEST_F(FitDensityTest, SamplesWithoutADensityAreAnErrorNamingThePoint) {
  const FitDensityRequest request = SmallRequest({{"x"}}, 1);
  const auto backend = CreateCpuBackend({.threads = 1});
  const auto fit = [&](double value) {
    FunctionTarget normal(Normal);
    Model model = *FitDensity(request, normal, *backend, {}, {});
    SpoiltTarget target(value);
    return FitTarget(std::move(model), {.target = target, .options = request.options}, *backend, {},
                     {})
        .status();
  };
  for (const double value : {kNan, kInfinity}) {
    const absl::Status status = fit(value);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(DetailOf(status).row, 5);
    EXPECT_THAT(DetailOf(status).value, HasSubstr("point ("));
  }
  for (const double value : {1.7e308, -1.7e308})
    EXPECT_EQ(fit(value).code(), absl::StatusCode::kFailedPrecondition);
}

// Weights that stretch where power iteration does not look: the fit's model contracts all the same.
TEST_F(FitDensityTest, ResidualLayersEndAsContractions) {
  Model model;
  model.columns = *ColumnModel::FromColumns({{.name = "a"}, {.name = "b"}});
  ResidualLayer residual;
  residual.network.hidden_sizes = {2};
  model.spec = {.dim = 2, .chain = {{LayerSpec{.residual = residual}}}};
  const auto flow = *Flow::Create(model.spec);
  model.parameters = ParameterValues(flow->layout().size());
  for (const auto& entry : flow->layout().entries()) {
    const auto set = [&](int row, int column, float value) {
      model.parameters[entry.slice.offset + static_cast<std::size_t>(row) * entry.slice.ld +
                       column] = value;
    };
    if (entry.statistic) {
      for (int layer = 0; layer < 2; ++layer) set(layer, 1, 1.0f);
    } else if (entry.slice.rows == 2) {
      set(0, 0, 1.05f);
      set(1, 1, 0.1f);
    }
  }
  ASSERT_NEAR(flow->transforms()[0]->LipschitzBound(model.parameters.span()), 1.05 * 1.05, 0.03);
  FitDensityOptions options = SmallRequest({}, 1).options;
  options.learning_rate = 1e-12;
  SpoiltTarget target(0.0);
  const auto backend = CreateCpuBackend({.threads = 1});
  const absl::StatusOr<Model> fitted =
      FitTarget(std::move(model), {.target = target, .options = options}, *backend, {}, {});
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_LT(flow->transforms()[0]->LipschitzBound(fitted->parameters.span()), 1.0);
}

TEST_F(FitDensityTest, RefusesMoreThanFitsInMemory) {
  std::vector<DensityColumn> columns(600);
  for (int c = 0; c < 600; ++c) columns[c].name = "c" + std::to_string(c);
  FunctionTarget target(Normal);
  const auto field_of = [&](const FitDensityRequest& request) {
    const absl::Status status = Fit(request, target).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    return DetailOf(status).field;
  };
  FitDensityRequest request = SmallRequest(columns);
  request.options.samples = 1'000'000;
  EXPECT_EQ(field_of(request), "options.samples");
  request = SmallRequest(columns);
  request.options.batch_size = 65536;
  EXPECT_EQ(field_of(request), "options.batch_size");
  EXPECT_EQ(target.calls, 0);
}

TEST_F(FitDensityTest, EndsWithTheTargetsError) {
  FunctionTarget target(Normal);
  target.status = absl::DataLossError("the sensor is gone");
  EXPECT_EQ(Fit(SmallRequest({{"x"}}), target).status(), target.status);
  EXPECT_EQ(target.calls, 1);
}

TEST_F(FitDensityTest, StopsWhenAsked) {
  std::stop_source stop;
  int calls = 0;
  FunctionTarget target([&](auto row, auto gradient) {
    if (++calls == 64 * 3) stop.request_stop();
    return Normal(row, gradient);
  });
  const absl::Status status =
      Fit(SmallRequest({{"x"}}, 100000), target, 1, {}, stop.get_token()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(target.calls, 3);
}

TEST_F(FitDensityTest, EndsInTime) {
  FitDensityRequest request = SmallRequest({{"x"}}, 10000000);
  request.options.max_duration = absl::Milliseconds(50);
  FunctionTarget target(Normal);
  const absl::StatusOr<Model> model = Fit(request, target);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->report.stop_reason, StopReason::kMaxDuration);
}

TEST(ChooseDensityFlowTest, CouplingsWithSplinesUnlessThereIsOneColumn) {
  for (const int dim : {1, 2, 30}) {
    const absl::StatusOr<FlowSpec> spec = ChooseDensityFlow({}, dim, 1);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->stack->architecture,
              dim == 1 ? Architecture::kNsfAutoregressive : Architecture::kNsfCoupling);
  }
}

TEST_F(FitDensityTest, RefusesWhatIsOutOfRange) {
  const auto field_of = [&](const FitDensityRequest& request) {
    const absl::Status status = StatusOf(Normal, request);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return DetailOf(status).field;
  };
  EXPECT_EQ(field_of(SmallRequest({})), "columns");
  EXPECT_EQ(field_of(SmallRequest({{"x", kNan}})), "columns[0].location");
  EXPECT_EQ(field_of(SmallRequest({{"x"}, {"y", 0.0, 0.0}})), "columns[1].scale");
  EXPECT_EQ(field_of(SmallRequest({{"x"}, {"x"}})), "columns[1].name");
  FitDensityRequest request = SmallRequest({{"x"}}, 0);
  EXPECT_EQ(field_of(request), "options.steps");
  request = SmallRequest({{"x"}});
  request.options.learning_rate = 0.0;
  EXPECT_EQ(field_of(request), "options.learning_rate");
  request = SmallRequest({{"x"}});
  request.options.samples = 99;
  EXPECT_EQ(field_of(request), "options.samples");
  request = SmallRequest({{"x"}});
  request.flow.base = BaseSpec{.kind = BaseSpec::Kind::kNormalMixture};
  EXPECT_EQ(StatusOf(Normal, request).code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace millrace
