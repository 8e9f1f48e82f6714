// SPDX-License-Identifier: Apache-2.0
// The C++ client against the real server that MILLRACE_SERVER names (with_server.py starts it).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <thread>
#include <tuple>

#include "client/client.h"
#include "client/status.h"

namespace millrace::client {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;

constexpr int kRows = 1000;

// Rows of a noisy parabola: no Gaussian, and learned in a moment.
Table Parabola(int rows, unsigned seed) {
  std::mt19937 bits(seed);
  std::normal_distribution<double> normal;
  Table table{{"a", "b"}, rows, 2, {}};
  for (int r = 0; r < rows; ++r) {
    const double a = normal(bits);
    table.values.insert(table.values.end(), {a, a * a + 0.2 * normal(bits)});
  }
  return table;
}

v1::TrainSpec SmallSpec(const std::string& name) {
  v1::TrainSpec spec;
  spec.set_name(name);
  auto& maf = *spec.mutable_flow()->mutable_stack();
  maf.set_layers(2);
  maf.add_hidden_sizes(24);
  maf.set_mixing(v1::MIXING_REVERSE);
  auto& options = *spec.mutable_options();
  options.set_batch_size(100);
  options.set_max_epochs(40);
  options.set_learning_rate(0.005);
  return spec;
}

class ClientSession : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const char* target = std::getenv("MILLRACE_SERVER");
    ASSERT_NE(target, nullptr) << "MILLRACE_SERVER must name a server";
    client_ = new Client({.target = target, .request_rows = 300});
    const auto done = client_->Train(SmallSpec("parabola"), Parabola(kRows, 1));
    ASSERT_TRUE(done.ok()) << done.status();
  }
  static void TearDownTestSuite() {
    delete client_;
    client_ = nullptr;
  }

  const ModelRef model_{"parabola", 1};
  const Table rows_ = Parabola(kRows, 2);
  inline static Client* client_ = nullptr;
};

TEST_F(ClientSession, TrainReportsAndPublishesTheNextVersion) {
  std::vector<v1::TrainResponse::EventCase> events;
  const auto done =
      client_->Train(SmallSpec("another"), rows_,
                     [&](const v1::TrainResponse& event) { events.push_back(event.event_case()); });
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(events.front(), v1::TrainResponse::kAccepted);
  EXPECT_EQ(events.back(), v1::TrainResponse::kDone);
  EXPECT_EQ(done->version(), 1u);
  EXPECT_GT(done->report().held_out().user_nats(), done->report().gaussian_held_out().user_nats());
  EXPECT_EQ(client_->Train(SmallSpec("another"), rows_)->version(), 2u);

  EXPECT_EQ(client_->GetModel({"another"})->version(), 2u);
  EXPECT_EQ(client_->ListModels("another")->size(), 2u);
  EXPECT_THAT(*client_->DeleteModel({"another", 2}), ElementsAre(2));
  EXPECT_THAT(*client_->DeleteAllVersions("another"), ElementsAre(1));
  EXPECT_TRUE(absl::IsNotFound(client_->GetModel({"another"}).status()));
}

TEST_F(ClientSession, PartsOfATableGiveTheSameBitsAsRowsAlone) {
  const auto whole = client_->LogProb(model_, rows_);  // four requests
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_EQ(whole->log_prob.size(), static_cast<std::size_t>(kRows));
  for (const int r : {0, 299, 300, kRows - 1}) {
    const auto row = rows_.row(r);
    const auto alone = client_->LogProb({"parabola"}, {{}, 1, 2, {row.begin(), row.end()}});
    ASSERT_TRUE(alone.ok()) << alone.status();
    EXPECT_EQ(alone->version, 1u);
    EXPECT_EQ(alone->log_prob[0], whole->log_prob[r]) << "row " << r;
  }
}

TEST_F(ClientSession, ScoreAgreesWithLogProb) {
  const auto scores = client_->Score(
      model_, rows_, {.false_positive_rate = 0.1, .contributions = v1::CONTRIBUTIONS_CONDITIONAL});
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_EQ(scores->log_prob, client_->LogProb(model_, rows_)->log_prob);
  EXPECT_EQ(scores->contributions.rows, kRows);
  int anomalies = 0;
  for (int r = 0; r < kRows; ++r) {
    EXPECT_EQ(scores->is_anomaly[r], scores->tail_probability[r] <= 0.1) << "row " << r;
    anomalies += scores->is_anomaly[r];
  }
  EXPECT_NEAR(anomalies, 0.1 * kRows, 0.09 * kRows);  // 100 calibration rows: a rough tenth
}

TEST_F(ClientSession, DecodeUndoesEncode) {
  const auto latents = client_->Encode(model_, rows_);
  ASSERT_TRUE(latents.ok()) << latents.status();
  const auto back = client_->Decode(model_, latents->rows);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_THAT(back->rows.values, Pointwise(::testing::DoubleNear(1e-3), rows_.values));
}

TEST_F(ClientSession, InterpolateBeginsAndEndsAtItsRows) {
  const Table ends{{"b", "a"}, 2, 2, {1, -1, 1, 1}};
  const auto path = client_->Interpolate(model_, ends, {.steps = 5});
  ASSERT_TRUE(path.ok()) << path.status();
  ASSERT_THAT(path->path.column_names, ElementsAre("a", "b"));
  EXPECT_NEAR(path->path(0, 0), -1, 1e-4);
  EXPECT_NEAR(path->path(0, 1), 1, 1e-4);
  EXPECT_NEAR(path->path(4, 0), 1, 1e-4);
  EXPECT_THAT(path->log_prob, Each(::testing::Gt(-50)));
}

TEST_F(ClientSession, SampleIsTheSameInChunksAndInThreads) {
  const SampleOptions options{.count = 20'000, .seed = 7};
  const auto once = client_->Sample(model_, options);
  ASSERT_TRUE(once.ok()) << once.status();
  ASSERT_EQ(once->rows.rows, 20'000);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back(
        [&] { EXPECT_EQ(client_->Sample(model_, options)->rows.values, once->rows.values); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ClientSession, ABadRowIsCountedOverTheWholeTable) {
  Table broken = rows_;
  broken.values[2 * 700 + 1] = std::nan("");
  const auto result = client_->LogProb(model_, broken);
  ASSERT_TRUE(absl::IsInvalidArgument(result.status())) << result.status();
  const auto detail = ErrorDetailOf(result.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->field(), "rows");
  EXPECT_EQ(detail->row(), 700u);
  EXPECT_EQ(detail->column(), 1u);
  EXPECT_THAT(detail->value(), HasSubstr("nan"));
}

TEST_F(ClientSession, AStoppedTrainingLeavesNoModel) {
  v1::TrainSpec spec = SmallSpec("stopped");
  spec.mutable_options()->set_max_epochs(1'000'000);
  spec.mutable_options()->set_patience(1'000'000);
  std::stop_source stop;
  const auto done = client_->Train(spec, rows_,
                                   [&](const v1::TrainResponse& event) {
                                     if (event.has_progress()) stop.request_stop();
                                   },
                                   {.stop = stop.get_token()});
  EXPECT_TRUE(absl::IsCancelled(done.status())) << done.status();
  EXPECT_TRUE(absl::IsNotFound(client_->GetModel({"stopped"}).status()));
}

// The density of a normal of deviations 3 and 0.2 with correlation 0.8, times e^2.
TEST_F(ClientSession, FitsADensityOfItsOwn) {
  constexpr double kCorrelation = 0.8, kFree = 1 - kCorrelation * kCorrelation;
  const DensityFunction density = [](const Table& points) {
    DensityValues values;
    values.gradient = points;
    for (std::int64_t r = 0; r < points.rows; ++r) {
      const double a = points(r, 0) / 3.0, b = (points(r, 1) - 10.0) / 0.2;
      values.log_density.push_back(2.0 - 0.5 * (a * a - 2 * kCorrelation * a * b + b * b) / kFree);
      values.gradient.values[2 * r] = -(a - kCorrelation * b) / kFree / 3.0;
      values.gradient.values[2 * r + 1] = -(b - kCorrelation * a) / kFree / 0.2;
    }
    return values;
  };
  v1::FitDensitySpec spec;
  spec.set_name("correlated");
  for (const auto& [name, location, scale] :
       {std::tuple("a", 1.0, 2.0), std::tuple("b", 9.9, 0.3)}) {
    v1::DensityColumn& column = *spec.add_columns();
    column.set_name(name);
    column.set_location(location);
    column.set_scale(scale);
  }
  spec.mutable_options()->set_steps(800);
  const auto done = client_->FitDensity(spec, density);
  ASSERT_TRUE(done.ok()) << done.status();
  const v1::DensityFit& fit = done->report().density_fit();
  EXPECT_NEAR(fit.log_normaliser(), 2.0 + std::log(2 * M_PI * 3.0 * 0.2 * std::sqrt(kFree)), 0.05);
  EXPECT_GT(fit.effective_sample_fraction(), 0.9);
  const auto sample = client_->Sample({"correlated"}, {.count = 4000, .seed = 1});
  ASSERT_TRUE(sample.ok());
  double product = 0;
  for (std::int64_t r = 0; r < 4000; ++r)
    product += sample->rows(r, 0) / 3.0 * (sample->rows(r, 1) - 10.0) / 0.2 / 4000;
  EXPECT_NEAR(product, kCorrelation, 0.1);
}

}  // namespace
}  // namespace millrace::client
