// SPDX-License-Identifier: Apache-2.0
// Jobs of several callers in one pass: each gets what it would get alone, to the bit, and fails
// alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/math/uniform.h"
#include "core/score/density.h"

namespace millrace {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Kind {
  std::string name;
  bool discrete;     // one of the columns: then a row is evaluated several times
  bool conditional;  // a number and a label
};

std::shared_ptr<Model> NewModel(const Kind& kind) {
  auto model = std::make_shared<Model>();
  std::vector<Column> columns = {{.name = "a", .center = 10.0, .scale = 4.0},
                                 {.name = "c", .type = ColumnType::kConstant, .constant = 7.0},
                                 {.name = "b", .center = -1.0, .scale = 0.7}};
  if (kind.discrete)
    columns.push_back({.name = "k", .type = ColumnType::kDiscrete, .bin_width = 1.0, .scale = 2.0});
  model->columns = *ColumnModel::FromColumns(std::move(columns));
  if (kind.conditional)
    model->context =
        *ContextModel::FromConditions({{.name = "x", .position = 0, .mean = 0.5, .deviation = 2.0},
                                       {.name = "y", .position = 1, .categories = {1, 2, 5}}},
                                      model->columns);
  model->spec = {.dim = model->columns.dim(),
                 .context_dim = model->context.dim(),
                 .stack = StackSpec{.layers = 2, .hidden_sizes = {16}}};
  const auto flow = *Flow::Create(model->spec);
  model->parameters = flow->InitialParameters();
  // Nothing is 0 but what masks leave so.
  for (const ParameterLayout::Entry& entry : flow->layout().entries())
    if (entry.slice.rows == 1)
      for (int c = 0; c < entry.slice.cols; ++c)
        model->parameters[entry.slice.offset + c] += static_cast<float>(
            0.6 * (UniformAt(3, 1, entry.slice.offset, static_cast<std::uint32_t>(c)) - 0.5));
  model->calibration.log_probs = {-9, -8, -7, -6, -5, -4, -3};
  model->calibration.false_positive_rate = 0.25;
  return model;
}

// What one caller asks for, and what it gets.
struct LogProbCaller {
  LogProbCaller(const Model& model, int n, std::uint64_t seed, bool one_condition)
      : rows(n, model.columns.num_columns()),
        context(model.context.num_columns() == 0 ? 0
                : one_condition                  ? 1
                                                 : n,
                model.context.num_columns()),
        log_prob(static_cast<std::size_t>(n)),
        out_of_support(static_cast<std::size_t>(n)) {
    for (int r = 0; r < n; ++r) {
      for (int c = 0; c < rows.cols(); ++c) {
        const Column& column = model.columns.columns()[c];
        const double u = 6 * UniformAt(seed, 1, r, c) - 3;
        rows(r, c) = column.type == ColumnType::kConstant   ? (r % 7 == 3 ? 6.0 : 7.0)
                     : column.type == ColumnType::kDiscrete ? std::nearbyint(u)
                                                            : column.center + column.scale * u;
      }
    }
    const double labels[] = {1, 2, 5};
    for (std::int64_t r = 0; r < context.rows(); ++r) {
      context(r, 0) = UniformAt(seed, 2, r, 0);
      context(r, 1) = labels[(static_cast<std::uint64_t>(r) + seed) % 3];
    }
  }
  LogProbJob Job() {
    return {.rows = rows.view(),
            .context = context.view(),
            .stop = stop.get_token(),
            .log_prob = log_prob,
            .out_of_support = out_of_support};
  }

  Rows<double> rows, context;
  std::stop_source stop;
  std::vector<double> log_prob;
  std::vector<std::uint8_t> out_of_support;
};

class DensityJobsTest : public testing::TestWithParam<Kind> {
 protected:
  std::vector<LogProbCaller> Callers(std::initializer_list<int> sizes) const {
    std::vector<LogProbCaller> callers;
    for (const int n : sizes)
      callers.emplace_back(*model_, n, 10 + callers.size(), callers.size() % 3 == 1);
    return callers;
  }
  std::vector<absl::Status> LogProb(std::vector<LogProbCaller>& callers,
                                    const Density& density) const {
    std::vector<LogProbJob> jobs;
    for (LogProbCaller& caller : callers) jobs.push_back(caller.Job());
    return density.LogProbMany(jobs);
  }
  void ExpectAlone(const LogProbCaller& caller) const {
    const auto alone = density_->LogProb(caller.rows.view(), {}, caller.context.view());
    ASSERT_TRUE(alone.ok()) << alone.status();
    EXPECT_EQ(alone->log_prob, caller.log_prob);
    EXPECT_EQ(alone->out_of_support, caller.out_of_support);
  }

  std::shared_ptr<Model> model_ = NewModel(GetParam());
  std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 2});
  std::unique_ptr<const Density> density_ = *Density::Create(model_, *backend_);
};

TEST_P(DensityJobsTest, LogDensitiesAreThoseOfEachAlone) {
  for (const auto& sizes :
       {std::initializer_list<int>{1, 1, 1, 1, 1}, {3, 1, 200, 17, 1, 64}, {500}, {1, 300}}) {
    std::vector<LogProbCaller> callers = Callers(sizes);
    for (const absl::Status& status : LogProb(callers, *density_)) EXPECT_TRUE(status.ok());
    for (const LogProbCaller& caller : callers) ExpectAlone(caller);
  }
  EXPECT_TRUE(density_->LogProbMany({}).empty());
}

TEST_P(DensityJobsTest, ABadJobFailsAlone) {
  std::vector<LogProbCaller> callers = Callers({5, 40, 3, 90, 1, 30, 2});
  callers[1].rows(33, 2) = callers[1].rows(35, 0) = kNaN;
  callers[3].rows = Rows<double>(90, model_->columns.num_columns() + 1);
  callers[4].stop.request_stop();
  callers[4].out_of_support[0] = 7;
  if (GetParam().conditional) {
    callers[5].context(7, 1) = 4;
    callers[6].context = Rows<double>();
  }
  const std::vector<absl::Status> statuses = LogProb(callers, *density_);
  ASSERT_EQ(statuses.size(), callers.size());
  EXPECT_EQ(DetailOf(statuses[1]).field, "rows");
  EXPECT_EQ(DetailOf(statuses[1]).row, 33);
  EXPECT_EQ(DetailOf(statuses[1]).column, 2);
  EXPECT_EQ(DetailOf(statuses[3]).field, "rows");
  EXPECT_TRUE(absl::IsInvalidArgument(statuses[3]));
  EXPECT_TRUE(absl::IsCancelled(statuses[4]));
  EXPECT_EQ(callers[4].out_of_support[0], 7) << "nothing of a stopped job is read";
  if (GetParam().conditional) {
    EXPECT_EQ(DetailOf(statuses[5]).field, "context");
    EXPECT_EQ(DetailOf(statuses[5]).row, 7);
    EXPECT_EQ(DetailOf(statuses[5]).value, "4");
    EXPECT_EQ(DetailOf(statuses[6]).field, "context");
  }
  for (const std::size_t good : {0, 2, 5, 6}) {
    if (good > 2 && GetParam().conditional) continue;
    EXPECT_TRUE(statuses[good].ok()) << good << statuses[good];
    ExpectAlone(callers[good]);
  }
}

// Wherever it stands, whatever stands behind it, and whoever comes to it first.
TEST_P(DensityJobsTest, TheFirstBadRowIsNamed) {
  const auto many_threads = CreateCpuBackend({.threads = 8});
  const auto density = *Density::Create(model_, *many_threads);
  for (const int first : {0, 127, 128, 1500, 2999}) {
    std::vector<LogProbCaller> callers = Callers({10, 3000, 10});
    for (int r = first; r < 3000; r += 61) callers[1].rows(r, 0) = kNaN;
    const std::vector<absl::Status> statuses = LogProb(callers, *density);
    EXPECT_EQ(DetailOf(statuses[1]).row, first);
    EXPECT_TRUE(statuses[0].ok() && statuses[2].ok());
    ExpectAlone(callers[2]);
    EXPECT_EQ(
        DetailOf(density->Encode(callers[1].rows.view(), {}, callers[1].context.view()).status())
            .row,
        std::min(first, 3));  // where a constant column has another value
  }
}

struct SampleCaller {
  SampleCaller(const Model& model, int n, std::uint64_t seed, double temperature)
      : conditions(model, n, seed, seed % 2 == 0), rows(n, model.columns.num_columns()) {
    job = {.seed = seed,
           .first_row = 100 * seed,
           .temperature = temperature,
           .context = conditions.context.view(),
           .rows = rows.view()};
  }
  LogProbCaller conditions;
  Rows<double> rows;
  SampleJob job;
};

TEST_P(DensityJobsTest, SamplesAreThoseOfEachAlone) {
  std::vector<std::unique_ptr<SampleCaller>> callers;
  for (const int n : {1, 1, 5, 1, 130, 1, 20})
    callers.push_back(std::make_unique<SampleCaller>(*model_, n, callers.size() + 1,
                                                     0.25 * static_cast<double>(callers.size())));
  callers[3]->job.temperature = 11.0;
  std::stop_source stop;
  stop.request_stop();
  callers[5]->job.stop = stop.get_token();
  std::vector<SampleJob> jobs;
  for (const auto& caller : callers) jobs.push_back(caller->job);
  const std::vector<absl::Status> statuses = density_->SampleMany(jobs);
  ASSERT_EQ(statuses.size(), jobs.size());
  EXPECT_EQ(DetailOf(statuses[3]).field, "temperature");
  EXPECT_TRUE(absl::IsCancelled(statuses[5]));
  for (const std::size_t j : {0, 1, 2, 4, 6}) {
    ASSERT_TRUE(statuses[j].ok()) << statuses[j];
    const auto alone = density_->Sample(jobs[j].seed, jobs[j].first_row, jobs[j].rows.rows,
                                        jobs[j].temperature, {}, jobs[j].context);
    EXPECT_EQ(std::memcmp(alone->data(), jobs[j].rows.data,
                          sizeof(double) * jobs[j].rows.rows * jobs[j].rows.cols),
              0)
        << j;
  }
}

TEST_P(DensityJobsTest, ScoreIsARuleAppliedToLogDensities) {
  LogProbCaller caller(*model_, 50, 4, false);
  const auto score = density_->Score(caller.rows.view(), {}, {}, caller.context.view());
  ASSERT_TRUE(score.ok());
  const auto rule = density_->RuleOf(std::nullopt);
  ASSERT_TRUE(rule.ok());
  ASSERT_TRUE(density_->LogProb(caller.Job()).ok());
  std::vector<double> tail(50);
  std::vector<std::uint8_t> anomaly(50);
  rule->Apply(caller.log_prob, caller.out_of_support, tail, anomaly);
  EXPECT_EQ(tail, score->tail_probability);
  EXPECT_EQ(anomaly, score->is_anomaly);
  EXPECT_EQ(rule->threshold(), score->threshold);
  EXPECT_EQ(rule->false_positive_rate(), 0.25);
  EXPECT_EQ(tail[3], 1.0 / 8);  // out of support
  EXPECT_TRUE(absl::IsFailedPrecondition(density_->RuleOf(0.1).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(density_->RuleOf(1.0).status()));
}

INSTANTIATE_TEST_SUITE_P(Models, DensityJobsTest,
                         testing::Values(Kind{"Plain", false, false}, Kind{"Discrete", true, false},
                                         Kind{"Conditional", false, true},
                                         Kind{"DiscreteConditional", true, true}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace millrace
