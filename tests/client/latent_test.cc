// SPDX-License-Identifier: Apache-2.0
// Complete, CreateAttributeVector and Manipulate: contents, parts, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "client/client.h"
#include "tests/client/fake_server.h"

namespace millrace::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <typename Response>
void AddRows(const Table& rows, Response& response) {
  *response.mutable_rows() = ToMatrix(rows, 0, rows.rows);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    response.add_log_prob(-1.0);
    response.add_out_of_support(r == 0);
  }
  for (const char* name : {"x", "y"}) response.add_column_names(name);
}

TEST(Complete, CarriesOptionsAndAnswersInParts) {
  FakeServer server;
  std::vector<v1::CompleteRequest> seen;
  server.complete = [&](auto&, const auto& request, auto& response) {
    seen.push_back(request);
    response.set_version(7);
    AddRows(Counting(2 * request.rows().rows(), 2), response);
    for (std::uint32_t i = 0; i < 2 * request.rows().rows(); ++i) response.add_acceptance_rate(0.5);
    return grpc::Status::OK;
  };
  const auto result = server.Connect({.request_rows = 2})
                          .Complete({"moons"}, {{"y", "x"}, 3, 2, {kNaN, 1, 2, kNaN, 3, 4}},
                                    {.draws = 2, .seed = 9, .steps = 30, .first_row = 10});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->version, 7u);
  EXPECT_EQ(result->rows.rows, 6);
  EXPECT_THAT(result->rows.column_names, ElementsAre("x", "y"));
  EXPECT_EQ(result->log_prob.size(), 6u);
  EXPECT_EQ(result->acceptance_rate.size(), 6u);
  EXPECT_TRUE(result->converged.empty());
  ASSERT_GE(seen.size(), 2u);
  EXPECT_TRUE(std::isnan(FromMatrix(seen[0].rows())->values[0]));
  EXPECT_EQ(seen[0].draws(), 2u);
  EXPECT_EQ(seen[0].steps(), 30u);
  EXPECT_EQ(seen[0].seed(), 9u);
  EXPECT_THAT(seen[0].column_names(), ElementsAre("y", "x"));
  std::uint64_t row = 10;
  for (const v1::CompleteRequest& request : seen) {
    EXPECT_EQ(request.first_row(), row) << "parts draw as the whole does";
    EXPECT_EQ(request.version(), row == 10 ? 0u : 7u);
    row += request.rows().rows();
  }
}

TEST(Complete, AReplyThatContradictsItselfIsInternal) {
  FakeServer server;
  server.complete = [&](auto&, const auto&, auto& response) {
    AddRows(Counting(1, 2), response);
    return grpc::Status::OK;
  };
  const auto result = server.Connect().Complete({"moons"}, Counting(1, 2));
  EXPECT_TRUE(absl::IsInternal(result.status()));
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("converged"));
}

TEST(CreateAttributeVector, CarriesBothSidesAndIsNotRepeated) {
  FakeServer server;
  v1::CreateAttributeVectorRequest seen;
  server.create_attribute_vector = [&](auto&, const auto& request, auto& response) {
    seen = request;
    response.set_version(4);
    return grpc::Status::OK;
  };
  const AttributeRows rows{.with = {{"x"}, 2, 1, {1, 2}},
                           .without = {{"x"}, 1, 1, {3}},
                           .context_with = {{"c"}, 1, 1, {5}},
                           .context_without = {{"c"}, 1, 1, {6}}};
  const auto created = server.Connect().CreateAttributeVector({"moons", 3}, "upper", rows);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->version(), 4u);
  EXPECT_EQ(seen.attribute(), "upper");
  EXPECT_EQ(seen.version(), 3u);
  EXPECT_THAT(FromMatrix(seen.rows_with())->values, ElementsAre(1, 2));
  EXPECT_THAT(FromMatrix(seen.rows_without())->values, ElementsAre(3));
  EXPECT_THAT(FromMatrix(seen.context_with())->values, ElementsAre(5));
  EXPECT_THAT(FromMatrix(seen.context_without())->values, ElementsAre(6));
  EXPECT_THAT(seen.context_column_names(), ElementsAre("c"));

  server.create_attribute_vector = [](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy");
  };
  server.calls = 0;
  EXPECT_FALSE(server.Connect().CreateAttributeVector({"moons"}, "upper", rows).ok());
  EXPECT_EQ(server.calls, 1);
  AttributeRows other = rows;
  other.without.column_names = {"y"};
  EXPECT_TRUE(absl::IsInvalidArgument(
      server.Connect().CreateAttributeVector({"moons"}, "upper", other).status()));
  EXPECT_EQ(server.calls, 1);
}

TEST(Manipulate, CarriesTheVectorAndAnswers) {
  FakeServer server;
  v1::ManipulateRequest seen;
  server.manipulate = [&](auto&, const auto& request, auto& response) {
    seen = request;
    AddRows(Counting(4, 2), response);
    return grpc::Status::OK;
  };
  const auto moved = server.Connect().Manipulate({"moons"}, Counting(2, 2),
                                                 {.vector = {1, 2}, .amounts = {0.5, -1}});
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->rows.rows, 4);
  EXPECT_EQ(moved->out_of_support[0], true);
  EXPECT_EQ(moved->log_prob.size(), 4u);
  EXPECT_THAT(seen.vector(), ElementsAre(1, 2));
  EXPECT_THAT(seen.amounts(), ElementsAre(0.5, -1));
}

}  // namespace
}  // namespace millrace::client
