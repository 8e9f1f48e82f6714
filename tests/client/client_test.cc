// SPDX-License-Identifier: Apache-2.0
// Unary methods: contents, parts, errors.
#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

#include "client/status.h"
#include "tests/client/fake_server.h"

namespace millrace::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();

// log_prob of a row is the sum of its elements; the first column above 100 is out of support.
grpc::Status SumRows(grpc::ServerContext&, const v1::LogProbRequest& request,
                     v1::LogProbResponse& response) {
  const Table rows = *FromMatrix(request.rows());
  response.set_name(request.name());
  response.set_version(request.version() == 0 ? 7 : request.version());
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    double sum = 0;
    for (double value : rows.row(r)) sum += value;
    response.add_log_prob(rows(r, 0) > 100 ? -kInf : sum);
    response.add_out_of_support(rows(r, 0) > 100);
  }
  return grpc::Status::OK;
}

TEST(LogProb, CarriesRowsNamesAndAnswers) {
  FakeServer server;
  v1::LogProbRequest seen;
  server.log_prob = [&](auto& context, const auto& request, auto& response) {
    seen = request;
    return SumRows(context, request, response);
  };
  const auto result =
      server.Connect().LogProb({"moons", 3}, {{"x", "y"}, 2, 2, {1.5, -2.25, 101, 0}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->version, 3u);
  EXPECT_THAT(result->log_prob, ElementsAre(-0.75, -kInf));
  EXPECT_THAT(result->out_of_support, ElementsAre(false, true));
  EXPECT_EQ(seen.name(), "moons");
  EXPECT_THAT(seen.column_names(), ElementsAre("x", "y"));
}

TEST(LogProb, SendsALargeTableInPartsToOneVersion) {
  FakeServer server;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> seen;  // version asked for, rows
  server.log_prob = [&](auto& context, const auto& request, auto& response) {
    seen.emplace_back(request.version(), request.rows().rows());
    return SumRows(context, request, response);
  };
  const auto result = server.Connect({.request_rows = 4}).LogProb({"moons"}, Counting(10, 2));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(seen, ElementsAre(std::pair(0u, 4u), std::pair(7u, 4u), std::pair(7u, 2u)));
  EXPECT_THAT(result->log_prob, ElementsAre(1, 5, 9, 13, 17, 21, 25, 29, 33, 37));
}

TEST(LogProb, BytesLimitAPartAndARowAlwaysFits) {
  FakeServer server;
  server.log_prob = SumRows;
  const auto result = server.Connect({.request_bytes = 8}).LogProb({"moons"}, Counting(3, 5));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(server.calls, 3);
}

// A request is too large as the server says it, with the field, or as gRPC does, without.
grpc::Status TooMany(const char* field) {
  v1::ErrorStatus status;
  if (field != nullptr) {
    v1::ErrorDetail detail;
    detail.set_field(field);
    status.add_details()->PackFrom(detail);
  }
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too large", status.SerializeAsString()};
}

TEST(LogProb, HalvesAPartThatIsTooLargeForTheServer) {
  for (const char* field : {"rows.rows", static_cast<const char*>(nullptr)}) {
    FakeServer server;
    std::vector<std::uint32_t> seen;
    server.log_prob = [&](auto& context, const auto& request, auto& response) {
      seen.push_back(request.rows().rows());
      if (request.rows().rows() > 3) return TooMany(field);
      return SumRows(context, request, response);
    };
    const auto result = server.Connect().LogProb({"moons"}, Counting(10, 2));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(seen, ElementsAre(10, 5, 2, 2, 2, 2, 2));
    EXPECT_THAT(result->log_prob, ElementsAre(1, 5, 9, 13, 17, 21, 25, 29, 33, 37));
  }
}

TEST(LogProb, GivesUpWhereOneRowIsTooMuchOrRowsAreNotTheMatter) {
  FakeServer server;
  for (const auto& [field, calls] : {std::pair("rows.rows", 3), std::pair("rows.cols", 1)}) {
    server.calls = 0;
    server.log_prob = [name = field](auto&, const auto&, auto&) { return TooMany(name); };
    const auto result = server.Connect().LogProb({"moons"}, Counting(4, 2));
    EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted) << result.status();
    EXPECT_EQ(server.calls, calls) << field;  // 4, 2 and 1 rows; 4 rows
  }
}

TEST(LogProb, CountsTheRowAtFaultOverTheWholeTable) {
  FakeServer server;
  server.log_prob = [&](auto& context, const auto& request, auto& response) {
    return server.calls == 3 ? BadRow(1) : SumRows(context, request, response);
  };
  const auto result = server.Connect({.request_rows = 4}).LogProb({"moons"}, Counting(12, 2));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("row 9 of the whole table"));
  const auto detail = ErrorDetailOf(result.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->row(), 9u);
  EXPECT_EQ(detail->column(), 1u);
  EXPECT_EQ(detail->value(), "nan");
}

TEST(LogProb, RefusesATableThatContradictsItself) {
  FakeServer server;
  const Client client = server.Connect();
  for (const Table& table : {Table{}, Table{{}, 2, 2, {1, 2, 3}}, Table{{"x"}, 1, 2, {1, 2}},
                             Table{{}, 1, 0, {}}, Table{{}, -1, 1, {}}}) {
    EXPECT_EQ(client.LogProb({"moons"}, table).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(server.calls, 0);
}

TEST(LogProb, AReplyOfTheWrongLengthIsInternal) {
  FakeServer server;
  server.log_prob = [](auto&, const auto&, auto& response) {
    response.add_log_prob(0);
    return grpc::Status::OK;
  };
  const auto result = server.Connect().LogProb({"moons"}, Counting(2, 1));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal) << result.status();
}

void FillScore(const v1::ScoreRequest& request, v1::ScoreResponse& response) {
  response.set_version(2);
  response.set_false_positive_rate(request.false_positive_rate());
  response.set_threshold(-4.5);
  const Table rows = *FromMatrix(request.rows());
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    response.add_log_prob(rows(r, 0));
    response.add_tail_probability(0.5);
    response.add_is_anomaly(r == 0);
    response.add_out_of_support(false);
  }
  if (request.contributions() == v1::CONTRIBUTIONS_NONE) return;
  *response.mutable_contributions() = request.rows();
  for (const char* name : {"x", "y"}) response.add_contribution_column_names(name);
}

TEST(Score, CarriesOptionsAndContributions) {
  FakeServer server;
  server.score = [](auto&, const auto& request, auto& response) {
    FillScore(request, response);
    return grpc::Status::OK;
  };
  const auto result =
      server.Connect({.request_rows = 2})
          .Score({"moons"}, Counting(3, 2),
                 {.false_positive_rate = 0.25, .contributions = v1::CONTRIBUTIONS_CHAIN});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->version, 2u);
  EXPECT_EQ(result->false_positive_rate, 0.25);
  EXPECT_EQ(result->threshold, -4.5);
  EXPECT_THAT(result->log_prob, ElementsAre(0, 2, 4));
  EXPECT_THAT(result->is_anomaly, ElementsAre(true, false, true));
  EXPECT_THAT(result->contributions.column_names, ElementsAre("x", "y"));
  EXPECT_THAT(result->contributions.values, ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(Score, WithoutContributionsThereAreNone) {
  FakeServer server;
  bool rate_sent = true;
  server.score = [&](auto&, const auto& request, auto& response) {
    rate_sent = request.has_false_positive_rate();
    FillScore(request, response);
    return grpc::Status::OK;
  };
  const auto result = server.Connect().Score({"moons"}, Counting(2, 2));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->contributions.rows, 0);
  EXPECT_FALSE(rate_sent);
}

TEST(Score, TakesFewerRowsOfAWideTableForConditionalContributions) {
  FakeServer server;
  std::vector<std::uint32_t> seen;
  server.score = [&](auto&, const auto& request, auto& response) {
    seen.push_back(request.rows().rows());
    FillScore(request, response);
    response.clear_contribution_column_names();
    return grpc::Status::OK;
  };
  const Client client = server.Connect();
  const ScoreOptions options = {.contributions = v1::CONTRIBUTIONS_CONDITIONAL};
  for (const auto& [rows, cols] : {std::pair(300, 2), std::pair(100, 256), std::pair(2, 20000)}) {
    const auto result = client.Score({"moons"}, Counting(rows, cols), options);
    ASSERT_TRUE(result.ok()) << result.status();
  }
  EXPECT_THAT(seen, ElementsAre(256, 44, 64, 36, 1, 1));
}

TEST(EncodeDecode, CarryMatricesThere) {
  FakeServer server;
  server.encode = [](auto&, const auto& request, auto& response) {
    *response.mutable_latents() = request.rows();
    return grpc::Status::OK;
  };
  server.decode = [](auto&, const auto& request, auto& response) {
    *response.mutable_rows() = request.latents();
    response.add_column_names("x");
    return grpc::Status::OK;
  };
  const Client client = server.Connect({.request_rows = 2});
  const auto latents = client.Encode({"moons"}, Counting(3, 1));
  ASSERT_TRUE(latents.ok()) << latents.status();
  EXPECT_THAT(latents->rows.values, ElementsAre(0, 1, 2));
  const auto rows = client.Decode({"moons"}, Counting(3, 1));
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(rows->rows.values, ElementsAre(0, 1, 2));
  EXPECT_THAT(rows->rows.column_names, ElementsAre("x"));
}

TEST(Encode, AMatrixThatContradictsItselfIsInternal) {
  FakeServer server;
  server.encode = [](auto&, const auto&, auto& response) {
    response.mutable_latents()->set_rows(2);
    response.mutable_latents()->set_cols(std::numeric_limits<std::uint32_t>::max());
    response.mutable_latents()->set_raw_f64_le("12345678");
    return grpc::Status::OK;
  };
  EXPECT_EQ(server.Connect().Encode({"moons"}, Counting(2, 1)).status().code(),
            absl::StatusCode::kInternal);
}

TEST(Interpolate, CarriesPathAndDensity) {
  FakeServer server;
  server.interpolate = [](auto&, const auto& request, auto& response) {
    EXPECT_EQ(request.rows().rows(), 2u);
    EXPECT_EQ(request.method(), v1::INTERPOLATION_METHOD_LINEAR);
    *response.mutable_path() = ToMatrix(Counting(request.steps(), 2), 0, request.steps());
    for (std::uint32_t i = 0; i < request.steps(); ++i) response.add_log_prob(i);
    return grpc::Status::OK;
  };
  const auto result = server.Connect().Interpolate(
      {"moons"}, Counting(2, 2), {.steps = 3, .method = v1::INTERPOLATION_METHOD_LINEAR});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->path.values, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(result->log_prob, ElementsAre(0, 1, 2));
}

TEST(ListModels, FetchesEveryPage) {
  FakeServer server;
  server.list_models = [](auto&, const auto& request, auto& response) {
    EXPECT_EQ(request.name(), "moons");
    const int page = request.page_token().empty() ? 0 : std::stoi(request.page_token());
    for (int i = 0; i < 2; ++i) response.add_models()->set_version(10u * page + i);
    if (page < 2) response.set_next_page_token(std::to_string(page + 1));
    return grpc::Status::OK;
  };
  const auto models = server.Connect().ListModels("moons");
  ASSERT_TRUE(models.ok()) << models.status();
  std::vector<std::uint64_t> versions;
  for (const auto& model : *models) versions.push_back(model.version());
  EXPECT_THAT(versions, ElementsAre(0, 1, 10, 11, 20, 21));
}

TEST(DeleteModel, OneVersionOrAll) {
  FakeServer server;
  server.delete_model = [](auto&, const auto& request, auto& response) {
    if (request.all_versions()) response.add_versions(1);
    response.add_versions(request.all_versions() ? 2 : request.version());
    return grpc::Status::OK;
  };
  const Client client = server.Connect();
  EXPECT_THAT(*client.DeleteModel({"moons", 5}), ElementsAre(5));
  EXPECT_THAT(*client.DeleteAllVersions("moons"), ElementsAre(1, 2));
}

}  // namespace
}  // namespace millrace::client
