// SPDX-License-Identifier: Apache-2.0
// Contexts on their way to the server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "client/client.h"
#include "tests/client/fake_server.h"

namespace millrace::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Answers with the context's first column, whose row must belong to the row of the request.
grpc::Status FirstOfContext(grpc::ServerContext&, const v1::LogProbRequest& request,
                            v1::LogProbResponse& response) {
  const Table rows = *FromMatrix(request.rows()), context = *FromMatrix(request.context());
  EXPECT_TRUE(context.rows == 1 || context.rows == rows.rows);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    response.add_log_prob(context(context.rows == 1 ? 0 : r, 0));
    response.add_out_of_support(false);
  }
  return grpc::Status::OK;
}

TEST(Context, IsCutWithItsRows) {
  FakeServer server;
  std::vector<std::uint32_t> parts;
  server.log_prob = [&](auto& context, const auto& request, auto& response) {
    parts.push_back(request.context().rows());
    EXPECT_THAT(request.context_column_names(), ElementsAre("c", "k"));
    return FirstOfContext(context, request, response);
  };
  Table context = Counting(5, 2);
  context.column_names = {"c", "k"};
  const auto result =
      server.Connect({.request_rows = 2}).LogProb({"wave"}, Counting(5, 1), context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->log_prob, ElementsAre(0, 2, 4, 6, 8));
  EXPECT_THAT(parts, ElementsAre(2, 2, 1));
}

TEST(Context, OfOneRowGoesWithEveryPart) {
  FakeServer server;
  server.log_prob = FirstOfContext;
  const auto result =
      server.Connect({.request_rows = 2}).LogProb({"wave"}, Counting(3, 1), {{}, 1, 1, {7}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->log_prob, ElementsAre(7, 7, 7));
}

TEST(Context, CountsTowardsTheBytesOfARequest) {
  FakeServer server;
  server.log_prob = FirstOfContext;
  const auto client = server.Connect({.request_bytes = 64});
  ASSERT_TRUE(client.LogProb({"wave"}, Counting(8, 1), Counting(8, 3)).ok());
  EXPECT_EQ(server.calls, 4);
}

TEST(Context, GoesWithEveryMethod) {
  FakeServer server;
  std::vector<std::string> seen;
  const auto note = [&seen](const char* method, const auto& request) {
    if (request.context().rows() == 1 && request.context().cols() == 2) seen.emplace_back(method);
    return grpc::Status(grpc::StatusCode::INTERNAL, "seen");
  };
  server.score = [&](auto&, const auto& request, auto&) { return note("score", request); };
  server.encode = [&](auto&, const auto& request, auto&) { return note("encode", request); };
  server.decode = [&](auto&, const auto& request, auto&) { return note("decode", request); };
  server.interpolate = [&](auto&, const auto& request, auto&) { return note("walk", request); };
  server.sample = [&](auto&, const auto& request, auto&) { return note("sample", request); };
  const Client client = server.Connect();
  const Table rows = Counting(2, 1), context = Counting(1, 2);
  (void)client.Score({"wave"}, rows, {}, context);
  (void)client.Encode({"wave"}, rows, context);
  (void)client.Decode({"wave"}, rows, context);
  (void)client.Interpolate({"wave"}, rows, {}, context);
  (void)client.Sample({"wave"}, {.context = context});
  EXPECT_THAT(seen, ElementsAre("score", "encode", "decode", "walk", "sample"));
}

TEST(Context, IsAbsentUnlessGiven) {
  FakeServer server;
  server.log_prob = [](auto&, const auto& request, auto&) {
    EXPECT_FALSE(request.has_context());
    return grpc::Status(grpc::StatusCode::INTERNAL, "seen");
  };
  (void)server.Connect().LogProb({"wave"}, Counting(1, 1));
  EXPECT_EQ(server.calls, 1);
}

TEST(Context, ThatDoesNotFitTheRowsIsRefusedHere) {
  FakeServer server;
  const Client client = server.Connect();
  for (const Table& context :
       {Counting(2, 1), Table{{}, 1, 2, {1}}, Table{{"a"}, 1, 2, {1, 2}}, Table{{}, 0, 2, {}}}) {
    const auto result = client.LogProb({"wave"}, Counting(3, 1), context);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(client.Interpolate({"wave"}, Counting(2, 1), {}, Counting(2, 1)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client.Sample({"wave"}, {.context = {{}, 1, 2, {1}}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server.calls, 0);
}

TEST(Context, SamplesAreAsManyAsItsRowsTimesTheCount) {
  FakeServer server;
  std::int64_t sent = 6;
  server.sample = [&](auto&, const auto& request, auto& stream) {
    EXPECT_EQ(request.count(), 2u);
    v1::SampleResponse response;
    *response.mutable_rows() = ToMatrix(Counting(sent, 1), 0, sent);
    stream.Write(response);
    return grpc::Status::OK;
  };
  const SampleOptions options{.count = 2, .context = Counting(3, 2)};
  const auto result = server.Connect().Sample({"wave"}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->rows.rows, 6);
  sent = 2;
  const auto few = server.Connect().Sample({"wave"}, options);
  EXPECT_THAT(std::string(few.status().message()), HasSubstr("2 samples of 6"));
}

}  // namespace
}  // namespace millrace::client
