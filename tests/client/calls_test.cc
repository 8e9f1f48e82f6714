// SPDX-License-Identifier: Apache-2.0
// What holds for every call: repetition, deadlines, cancellation, threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "client/client.h"
#include "tests/client/fake_server.h"

namespace millrace::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// log_prob of a row is its first element.
grpc::Status EchoFirst(grpc::ServerContext&, const v1::LogProbRequest& request,
                       v1::LogProbResponse& response) {
  const Table rows = *FromMatrix(request.rows());
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    response.add_log_prob(rows(r, 0));
    response.add_out_of_support(false);
  }
  return grpc::Status::OK;
}

TEST(Retry, RepeatsUnavailable) {
  FakeServer server;
  server.log_prob = [&](auto& context, const auto& request, auto& response) {
    if (server.calls < 3) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy");
    return EchoFirst(context, request, response);
  };
  const auto result = server.Connect().LogProb({"moons"}, Counting(1, 1));
  EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(server.calls, 3);
}

TEST(Retry, RepeatsALargeRequestToo) {
  FakeServer server;
  server.log_prob = [&](auto& context, const auto& request, auto& response) {
    if (server.calls < 2) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy");
    return EchoFirst(context, request, response);
  };
  const auto result = server.Connect({.request_rows = 1 << 20, .request_bytes = 16 << 20})
                          .LogProb({"moons"}, Counting(1 << 18, 4));
  EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(server.calls, 2);
}

TEST(Retry, GivesUpAfterMaxAttempts) {
  FakeServer server;
  server.get_model = [](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
  };
  const auto result = server.Connect({.max_attempts = 4}).GetModel({"moons"});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("draining"));
  EXPECT_EQ(server.calls, 4);
}

TEST(Retry, OneAttemptRepeatsNothing) {
  FakeServer server;
  server.get_model = [](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
  };
  EXPECT_FALSE(server.Connect({.max_attempts = 1}).GetModel({"moons"}).ok());
  EXPECT_EQ(server.calls, 1);
}

TEST(Retry, OtherCodesAndDeletionsAreNotRepeated) {
  FakeServer server;
  server.get_model = [](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many rows");
  };
  server.delete_model = [](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
  };
  const Client client = server.Connect();
  EXPECT_EQ(client.GetModel({"moons"}).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server.calls, 1);
  EXPECT_EQ(client.DeleteModel({"moons", 1}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.calls, 2);
}

TEST(Unreachable, IsUnavailableAndNamesTheServer) {
  std::string target;
  {
    FakeServer server;
    target = server.target;
  }
  const Client client({.target = target, .timeout = absl::Seconds(5), .max_attempts = 2});
  const auto result = client.GetModel({"moons"});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable) << result.status();
  EXPECT_THAT(std::string(result.status().message()), HasSubstr(target));
}

TEST(Deadline, TheClientsHoldsForEveryCallAndTheCallsOwnWins) {
  FakeServer server;
  server.get_model = [](auto& context, const auto&, auto&) { return HangUntilCancelled(context); };
  const Client client = server.Connect({.timeout = absl::Milliseconds(50)});
  EXPECT_EQ(client.GetModel({"moons"}).status().code(), absl::StatusCode::kDeadlineExceeded);
  const Client patient = server.Connect();
  EXPECT_EQ(patient.GetModel({"moons"}, {.timeout = absl::Milliseconds(50)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(Stop, CancelsFromAnotherThread) {
  FakeServer server;
  server.get_model = [](auto& context, const auto&, auto&) { return HangUntilCancelled(context); };
  std::stop_source stop;
  std::jthread stopper([&] {
    while (server.calls == 0) std::this_thread::yield();
    stop.request_stop();
  });
  const auto result = server.Connect().GetModel({"moons"}, {.stop = stop.get_token()});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
}

TEST(Stop, BeforeTheCallSendsNothing) {
  FakeServer server;
  std::stop_source stop;
  stop.request_stop();
  const auto result = server.Connect().GetModel({"moons"}, {.stop = stop.get_token()});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(server.calls, 0);
}

TEST(Client, ServesManyThreads) {
  FakeServer server;
  server.log_prob = EchoFirst;
  const Client client = server.Connect({.request_rows = 5});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&client, t] {
      for (int i = 0; i < 10; ++i) {
        const auto result = client.LogProb({"moons"}, {{}, 1, 1, {double(t)}});
        ASSERT_TRUE(result.ok()) << result.status();
        EXPECT_THAT(result->log_prob, ElementsAre(t));
      }
    });
  }
}

}  // namespace
}  // namespace millrace::client
