// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/density_queries.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "gtest/gtest.h"
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

TEST(Limits, AllowTheContributionsOfAThousandRowsOfTwentyColumnsWithBins) {
  EXPECT_GE(Limits().max_request_evaluations, 1000 * (1 + 20 * 400) * 8);
}

}  // namespace
}  // namespace millrace
