// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/density_queries.h"

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "gtest/gtest.h"
#include "server/rpc/density_batch.h"
#include "server/rpc/matrix.h"
#include "tests/server/support/in_process_server.h"
#include "tests/server/support/small_model.h"

namespace millrace {
namespace {

// One of its four columns is constant.
class CheckQueryTest : public testing::Test {
 protected:
  CheckQueryTest() {
    served_.name = "small";
    served_.version = 1;
    served_.density = *Density::Create(std::make_shared<Model>(SmallModel()), *backend_);
  }

  static v1::ScoreRequest Score(std::uint32_t rows, v1::Contributions contributions) {
    v1::ScoreRequest request;
    *request.mutable_rows() = SmallRows(rows);
    request.set_contributions(contributions);
    return request;
  }

  std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 1});
  ServedModel served_;
  Limits limits_;
};

TEST_F(CheckQueryTest, CountsEvaluationsOfTheFlow) {
  const auto expect = [&](const auto& request, std::int64_t rows, std::int64_t evaluations) {
    const absl::StatusOr<QuerySize> size = CheckQuery(request, served_, limits_);
    ASSERT_TRUE(size.ok()) << size.status();
    EXPECT_EQ(size->rows, rows);
    EXPECT_EQ(size->evaluations, evaluations);
  };
  v1::LogProbRequest log_prob;
  *log_prob.mutable_rows() = SmallRows(5);
  expect(log_prob, 5, 5);
  expect(Score(5, v1::CONTRIBUTIONS_NONE), 5, 5);
  expect(Score(5, v1::CONTRIBUTIONS_CHAIN), 5, 10);
  expect(Score(5, v1::CONTRIBUTIONS_CONDITIONAL), 5, 5 * (1 + 3 * 400));
  v1::InterpolateRequest interpolate;
  *interpolate.mutable_rows() = SmallRows(2);
  interpolate.set_steps(7);
  expect(interpolate, 7, 14);
  v1::EncodeRequest encode;
  *encode.mutable_rows() = SmallRows(5);
  expect(encode, 5, 5);
  v1::DecodeRequest decode;
  *decode.mutable_latents() = MakeMatrix(1, 3, {0, 0, 0});
  expect(decode, 1, 1);
}

TEST_F(CheckQueryTest, ScoresARowWithBinsAtEveryOffset) {
  Model model = SmallModel();
  const auto given = model.columns.columns();
  std::vector<Column> columns(given.begin(), given.end());
  columns[1].type = ColumnType::kDiscrete;
  columns[1].bin_width = 1.0;
  model.columns = *ColumnModel::FromColumns(std::move(columns));
  served_.density = *Density::Create(std::make_shared<Model>(std::move(model)), *backend_);
  EXPECT_EQ(CheckQuery(Score(5, v1::CONTRIBUTIONS_NONE), served_, limits_)->evaluations, 5 * 8);
}

TEST_F(CheckQueryTest, BoundsTheEvaluationsOfOneRequest) {
  limits_.max_request_evaluations = 1201 * 5;
  EXPECT_TRUE(CheckQuery(Score(5, v1::CONTRIBUTIONS_CONDITIONAL), served_, limits_).ok());
  const absl::Status status =
      CheckQuery(Score(6, v1::CONTRIBUTIONS_CONDITIONAL), served_, limits_).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(DetailOf(status).field, "rows.rows");
  EXPECT_EQ(DetailOf(status).value, "6");
  EXPECT_NE(DetailOf(status).expected.find("at most 5"), std::string::npos) << status;
  EXPECT_NE(DetailOf(status).expected.find("--max_request_evaluations"), std::string::npos);
}

class AnswerTest : public CheckQueryTest {
 protected:
  static constexpr std::uint32_t kRows = 20;

  static v1::LogProbRequest LogProb(const v1::Matrix& rows) {
    v1::LogProbRequest request;
    *request.mutable_rows() = rows;
    return request;
  }
  absl::Status Alone(const v1::LogProbRequest& request, v1::LogProbResponse* response) const {
    using Part = DensityPart<v1::LogProbRequest, v1::LogProbResponse>;
    Part part(&request, response, {});
    BatchPart* const parts[] = {&part};
    return Part::Answer(served_, parts).front();
  }
  absl::Status Alone(const v1::ScoreRequest& request, v1::ScoreResponse* response) const {
    return Answer(request, served_, {}, response);
  }
  std::vector<double> LogProbOf(const v1::LogProbRequest& request) const {
    v1::LogProbResponse response;
    const absl::Status status = Alone(request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return {response.log_prob().begin(), response.log_prob().end()};
  }
};

TEST_F(AnswerTest, DoesNotDependOnTheEncoding) {
  std::vector<double> doubles(4 * kRows);
  ASSERT_TRUE(ReadMatrix(SmallRows(kRows), "rows", 0, doubles).ok());
  const std::vector<float> floats(doubles.begin(), doubles.end());
  doubles.assign(floats.begin(), floats.end());  // what both can say
  const v1::Matrix raw = MakeMatrix(kRows, 4, doubles);
  const std::vector<double> expected = LogProbOf(LogProb(raw));
  ASSERT_EQ(expected.size(), kRows);
  v1::Matrix matrix = raw;
  matrix.set_raw_f32_le(floats.data(), floats.size() * sizeof(float));
  EXPECT_EQ(LogProbOf(LogProb(matrix)), expected);
  matrix.mutable_floats()->mutable_values()->Assign(floats.begin(), floats.end());
  EXPECT_EQ(LogProbOf(LogProb(matrix)), expected);
  matrix.mutable_doubles()->mutable_values()->Assign(doubles.begin(), doubles.end());
  EXPECT_EQ(LogProbOf(LogProb(matrix)), expected);
}

TEST_F(AnswerTest, NamesABadValueAsItStandsInTheRequest) {
  v1::LogProbRequest request = LogProb(MakeMatrix(2, 4, {0.5, 7, 10, 0.3, 0.5, 7, NAN, 0.3}));
  for (const char* name : {"u", "k", "y", "x"}) request.add_column_names(name);
  v1::LogProbResponse response;
  const absl::Status status = Alone(request, &response);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(DetailOf(status).field, "rows");
  EXPECT_EQ(DetailOf(status).row, 1);
  EXPECT_EQ(DetailOf(status).column, 2);
  EXPECT_EQ(DetailOf(status).expected, "a finite number in column 'y'");
}

// Requests of both kinds, one of them bad, in one pass: what each would be answered alone.
TEST_F(AnswerTest, ManyRequestsAreAnsweredAsOne) {
  v1::LogProbRequest first = LogProb(SmallRows(3));
  v1::LogProbRequest bad = LogProb(MakeMatrix(1, 4, {0, NAN, 7, 0.5}));
  v1::LogProbRequest named = LogProb(MakeMatrix(1, 4, {0.5, 7, 10, 0.3}));
  for (const char* name : {"u", "k", "y", "x"}) named.add_column_names(name);
  const v1::ScoreRequest score = Score(kRows, v1::CONTRIBUTIONS_CHAIN);
  v1::LogProbResponse of_first, of_bad, of_named;
  v1::ScoreResponse of_score;
  auto first_query = Prepare(first, served_, {}, &of_first);
  auto bad_query = Prepare(bad, served_, {}, &of_bad);
  auto score_query = Prepare(score, served_, {}, &of_score);
  auto named_query = Prepare(named, served_, {}, &of_named);
  const LogProbJob jobs[] = {first_query->job, bad_query->job, score_query->job, named_query->job};
  const std::vector<absl::Status> computed = served_.density->LogProbMany(jobs);
  ASSERT_EQ(computed.size(), 4U);
  EXPECT_TRUE(Complete(first, served_, *first_query, computed[0], &of_first).ok());
  const absl::Status refused = Complete(bad, served_, *bad_query, computed[1], &of_bad);
  EXPECT_TRUE(Complete(score, served_, *score_query, computed[2], &of_score).ok());
  EXPECT_TRUE(Complete(named, served_, *named_query, computed[3], &of_named).ok());

  const auto alone = [&](const auto& request, auto response) {
    EXPECT_TRUE(Alone(request, &response).ok());
    response.clear_name();
    response.clear_version();
    return response.SerializeAsString();
  };
  EXPECT_EQ(of_first.SerializeAsString(), alone(first, v1::LogProbResponse()));
  EXPECT_EQ(of_score.SerializeAsString(), alone(score, v1::ScoreResponse()));
  EXPECT_EQ(of_named.SerializeAsString(), alone(named, v1::LogProbResponse()));
  EXPECT_EQ(of_score.contributions().rows(), kRows);
  EXPECT_EQ(DetailOf(refused).row, 0);
  EXPECT_EQ(DetailOf(refused).column, 1);
}

TEST_F(AnswerTest, ARateThatCannotBeIsRefusedBeforeThePass) {
  v1::ScoreRequest request = Score(2, v1::CONTRIBUTIONS_NONE);
  v1::ScoreResponse response;
  request.set_false_positive_rate(1.5);
  const absl::Status status = Prepare(request, served_, {}, &response).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(DetailOf(status).field, "false_positive_rate");
}

TEST(Limits, AllowTheContributionsOfAThousandRowsOfTwentyColumnsWithBins) {
  EXPECT_GE(Limits().max_request_evaluations, 1000 * (1 + 20 * 400) * 8);
}

}  // namespace
}  // namespace millrace
