// SPDX-License-Identifier: Apache-2.0
// The subcommands that take or give rows.
#include "tests/client/cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "client/cli/io/file_error.h"

namespace millrace::cli {
namespace {

using client::FromMatrix;
using client::ToMatrix;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

grpc::Status SumRows(grpc::ServerContext&, const v1::LogProbRequest& request,
                     v1::LogProbResponse& response) {
  const client::Table rows = *FromMatrix(request.rows());
  response.set_version(3);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    response.add_log_prob(rows(r, 0) + rows(r, 1));
    response.add_out_of_support(false);
  }
  return grpc::Status::OK;
}

TEST_F(Commands, LogProbWritesOneNumberARow) {
  server_.log_prob = SumRows;
  const std::string path = folder_.Write("t.csv", "x,y\n1,2\n3,4\n");
  ASSERT_TRUE(Run("log-prob moons:3 " + path).ok());
  EXPECT_EQ(out_, "log_prob\n3\n7\n");
  ASSERT_TRUE(Run("log-prob moons " + path + " --with-input --format jsonl").ok());
  EXPECT_EQ(out_,
            "{\"x\":1.0,\"y\":2.0,\"log_prob\":3.0}\n{\"x\":3.0,\"y\":4.0,\"log_prob\":7.0}\n");
  ASSERT_TRUE(Run("log-prob moons " + path + " --mean").ok());
  EXPECT_EQ(out_, "5 2 2\n");
}

TEST_F(Commands, AMeanWithARowOfDensityZeroIsMinusInfinity) {
  for (const int zero : {0, 1, 3}) {
    server_.log_prob = [zero](auto&, const auto& request, auto& response) {
      for (std::uint32_t r = 0; r < request.rows().rows(); ++r) {
        response.add_log_prob(r % 4 == static_cast<std::uint32_t>(zero) ? -INFINITY : -1.5);
        response.add_out_of_support(false);
      }
      return grpc::Status::OK;
    };
    const std::string rows = "x,y\n1,2\n1,2\n1,2\n1,2\n1,2\n";
    ASSERT_TRUE(Run("log-prob moons " + folder_.Write("t.csv", rows) + " --mean").ok());
    EXPECT_EQ(out_, "-inf nan 5\n") << zero;
  }
}

TEST_F(Commands, LogProbOfALargeTableStaysWithOneVersion) {
  std::vector<std::uint64_t> versions;
  server_.log_prob = [&](auto& context, const auto& request, auto& response) {
    versions.push_back(request.version());
    return SumRows(context, request, response);
  };
  std::string text = "x,y\n";
  for (std::int64_t i = 0; i < 2 * kRowsPerPiece + 1; ++i) text += "1,2\n";
  ASSERT_TRUE(Run("log-prob moons " + folder_.Write("t.csv", text) + " --mean").ok());
  EXPECT_EQ(out_, "3 0 32769\n");
  EXPECT_THAT(versions, ElementsAre(3, 3, 3));
}

TEST_F(Commands, AServersErrorNamesTheLine) {
  server_.log_prob = [&](auto& context, const auto& request, auto& response) {
    // The first call asks about the model, the others are messages of one stream.
    return server_.calls == 3 ? client::BadRow(kRowsPerPiece + 5)
                              : SumRows(context, request, response);
  };
  std::string text = "x,y\n";
  for (std::int64_t i = 0; i < kRowsPerPiece + 100; ++i) text += "1,2\n";
  const absl::Status status = Run("log-prob moons " + folder_.Write("t.csv", text) + " --mean");
  EXPECT_THAT(std::string(status.message()), HasSubstr("t.csv:16391: "));  // 16384 + 5 + 2
  EXPECT_EQ(ExitCode(status), 1);
}

TEST_F(Commands, ScoreWritesDecisionsAndContributions) {
  server_.score = [](auto&, const auto& request, auto& response) {
    EXPECT_EQ(request.false_positive_rate(), 0.05);
    response.set_version(1);
    response.set_false_positive_rate(0.05);
    for (std::uint32_t r = 0; r < request.rows().rows(); ++r) {
      response.add_log_prob(-1.5);
      response.add_tail_probability(0.25);
      response.add_is_anomaly(r == 1);
      response.add_out_of_support(false);
    }
    *response.mutable_contributions() = request.rows();
    response.add_contribution_column_names("x");
    return grpc::Status::OK;
  };
  const std::string path = folder_.Write("t.csv", "x\n1\n2\n");
  const absl::Status status =
      Run("score moons " + path + " --false-positive-rate 0.05 --contributions chain");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(out_,
            "log_prob,tail_probability,is_anomaly,out_of_support,contribution_x\n"
            "-1.5,0.25,0,0,1\n-1.5,0.25,1,0,2\n");
  EXPECT_THAT(err_, HasSubstr("1 of 2 rows are anomalies at false-positive rate 0.05"));
}

TEST_F(Commands, SampleWritesChunks) {
  server_.sample = [](auto&, const auto& request, auto& stream) {
    EXPECT_EQ(request.count(), 3u);
    EXPECT_EQ(request.seed(), 9u);
    v1::SampleResponse response;
    response.add_column_names("a");
    *response.mutable_rows() = ToMatrix({{}, 2, 1, {1, 2}}, 0, 2);
    stream.Write(response);
    response.set_first_row(2);
    *response.mutable_rows() = ToMatrix({{}, 1, 1, {3}}, 0, 1);
    stream.Write(response);
    return grpc::Status::OK;
  };
  ASSERT_TRUE(Run("sample moons -n 3 --seed 9").ok());
  EXPECT_EQ(out_, "a\n1\n2\n3\n");
}

TEST_F(Commands, InterpolateTakesTheRowsAskedFor) {
  server_.interpolate = [](auto&, const auto& request, auto& response) {
    EXPECT_THAT(FromMatrix(request.rows())->values, ElementsAre(30, 10));
    *response.mutable_path() = ToMatrix({{}, 3, 1, {30, 20, 10}}, 0, 3);
    for (int i = 0; i < 3; ++i) response.add_log_prob(-i);
    response.add_column_names("a");
    return grpc::Status::OK;
  };
  const std::string path = folder_.Write("t.csv", "a\n10\n20\n30\n");
  ASSERT_TRUE(Run("interpolate moons " + path + " --rows 2,0 --steps 3").ok());
  EXPECT_EQ(out_, "t,a,log_prob\n0,30,0\n0.5,20,-1\n1,10,-2\n");
  const absl::Status beyond = Run("interpolate moons " + path + " --rows 0,7");
  EXPECT_TRUE(IsFileError(beyond)) << beyond;
  server_.interpolate = [](auto&, const auto&, auto&) { return client::BadRow(1); };
  const absl::Status bad = Run("interpolate moons " + path + " --rows 0,2");
  EXPECT_THAT(std::string(bad.message()), HasSubstr("t.csv:4: "));  // row 2 below the header
}

TEST_F(Commands, TrainSendsTheTableAndTheFlags) {
  v1::TrainSpec spec;
  std::vector<double> values;
  server_.train = [&](auto&, auto& stream) {
    v1::TrainRequest request;
    while (stream.Read(&request)) {
      if (request.has_spec()) spec = request.spec();
      if (!request.has_chunk()) continue;
      const auto chunk = *FromMatrix(request.chunk());
      values.insert(values.end(), chunk.values.begin(), chunk.values.end());
    }
    v1::TrainResponse response;
    response.mutable_accepted()->set_rows(2);
    stream.Write(response);
    response.mutable_done()->set_name("moons");
    response.mutable_done()->set_version(4);
    response.mutable_done()->mutable_report()->add_warnings("few rows");
    stream.Write(response);
    return grpc::Status::OK;
  };
  const std::string path = folder_.Write("t.csv", "a,b\n1,2\n3,4\n");
  const absl::Status status = Run("train moons " + path +
                                  " --layers 3 --hidden 64,32 --mixing lu --act-norm no"
                                  " --heavy-tails no"
                                  " --max-duration 1m500ms --ema-decay 0 --seed 7"
                                  " --discrete a --bounds b=:5 --bin-width a=0.5");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(values, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(spec.flow().stack().layers(), 3u);
  EXPECT_THAT(spec.flow().stack().hidden_sizes(), ElementsAre(64, 32));
  EXPECT_EQ(spec.flow().stack().mixing(), v1::MIXING_LU);
  EXPECT_TRUE(spec.flow().stack().has_act_norm());
  EXPECT_FALSE(spec.flow().stack().act_norm());
  EXPECT_TRUE(spec.flow().stack().has_heavy_tails());
  EXPECT_FALSE(spec.flow().stack().heavy_tails());
  EXPECT_FALSE(spec.flow().stack().has_residual());
  EXPECT_EQ(spec.options().max_duration().seconds(), 60);
  EXPECT_EQ(spec.options().max_duration().nanos(), 500000000);
  EXPECT_TRUE(spec.options().has_ema_decay());
  EXPECT_FALSE(spec.options().has_weight_decay());
  EXPECT_EQ(spec.options().seed(), 7u);
  ASSERT_EQ(spec.columns_size(), 2);
  EXPECT_EQ(spec.columns(0).type(), v1::COLUMN_TYPE_DISCRETE);
  EXPECT_EQ(spec.columns(0).bin_width(), 0.5);
  EXPECT_EQ(spec.columns(1).upper_bound(), 5);
  EXPECT_FALSE(spec.columns(1).has_lower_bound());
  EXPECT_THAT(err_, HasSubstr("accepted 2 rows"));
  EXPECT_THAT(out_, HasSubstr("model moons version 4"));
  EXPECT_THAT(out_, HasSubstr("warning: few rows"));
}

TEST_F(Commands, TrainRefusesFlagsOnUnknownColumns) {
  const std::string path = folder_.Write("t.csv", "1,2\n3,4\n");
  EXPECT_THAT(std::string(Run("train moons " + path + " --discrete x2").message()),
              HasSubstr("no column 'x2'"));
  EXPECT_THAT(std::string(Run("train moons " + path + " --bounds x1=5").message()),
              HasSubstr("LOW:HIGH"));
  EXPECT_EQ(server_.calls, 0);
}

TEST_F(Commands, TrainStopsAtABadLine) {
  server_.train = [](auto&, auto& stream) {
    v1::TrainRequest request;
    while (stream.Read(&request)) {
    }
    return grpc::Status::CANCELLED;
  };
  const absl::Status status = Run("train moons " + folder_.Write("t.csv", "1,2\n3,x\n"));
  EXPECT_EQ(ExitCode(status), 3);
  EXPECT_THAT(std::string(status.message()), HasSubstr("t.csv:2:2: 'x' is not a number"));
}

TEST_F(Commands, GenerateIsRepeatableAndKnowsItsDensity) {
  const std::string a = folder_.Path("a.csv");
  ASSERT_TRUE(Run("generate two-moons -n 2000 --seed 3 --mean-log-density -o " + a, false).ok());
  double mean = 0;
  ASSERT_TRUE(absl::SimpleAtod(out_.substr(0, out_.find(' ')), &mean)) << out_;
  EXPECT_NEAR(mean, -1.006, 0.06);  // minus the entropy, within a few standard errors
  ASSERT_TRUE(Run("generate two-moons -n 2000 --seed 3", false).ok());
  EXPECT_EQ(out_, folder_.Read("a.csv"));
  ASSERT_TRUE(Run("generate checkerboard -n 2 --log-density", false).ok());
  EXPECT_THAT(out_, HasSubstr(",-3.4657359027997265\n"));
  EXPECT_FALSE(Run("generate two-moons -n 2 --mean-log-density", false).ok());
  EXPECT_FALSE(Run("generate two-moons -n 0", false).ok());
  EXPECT_FALSE(Run("generate no-moons -n 2", false).ok());
}

TEST_F(Commands, AListTakesOneArgument) {
  server_.log_prob = SumRows;
  const std::string path = folder_.Write("t.csv", "x,note,y\n1,a,2\n");
  ASSERT_TRUE(Run("log-prob moons --columns x,y " + path).ok());
  EXPECT_EQ(out_, "log_prob\n3\n");
}

}  // namespace
}  // namespace millrace::cli
