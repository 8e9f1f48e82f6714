// SPDX-License-Identifier: Apache-2.0
// Deadlines, cancellations and readers that do not read.

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// Conditional contributions of so many rows take minutes: work that must be stopped.
v1::ScoreRequest EndlessRequest() {
  v1::ScoreRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(16'000);
  request.set_contributions(v1::CONTRIBUTIONS_CONDITIONAL);
  return request;
}

void LargeRequests(Config& config) { config.limits.max_request_rows = 100'000; }

// As a client would that retries while the server is full: callers hear of their deadlines before the
// worker has let go of their work.
bool AnswersSoon(InProcessServer& server) {
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(1);
  const auto deadline = system_clock::now() + milliseconds(30'000);
  while (true) {
    v1::LogProbResponse response;
    grpc::ClientContext context;
    context.set_deadline(deadline);
    const grpc::Status status = server.density().LogProb(&context, request, &response);
    if (status.error_code() != StatusCode::UNAVAILABLE) return status.ok();
    std::this_thread::sleep_for(milliseconds(10));
  }
}

TEST(Deadline, OfTheClientStopsTheWork) {
  InProcessServer server([](Config& config) {
    LargeRequests(config);
    config.worker_threads = 1;
  });
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + milliseconds(100));
  v1::ScoreResponse response;
  EXPECT_EQ(server.density().Score(&context, EndlessRequest(), &response).error_code(),
            StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(AnswersSoon(server));  // the only worker is free again
}

TEST(Deadline, OfTheServerHoldsWhereTheClientSetsNone) {
  InProcessServer server([](Config& config) {
    LargeRequests(config);
    config.max_deadline = absl::Milliseconds(100);
  });
  grpc::ClientContext context;
  v1::ScoreResponse response;
  const grpc::Status status = server.density().Score(&context, EndlessRequest(), &response);
  EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(DetailOf(status).field(), "");
  EXPECT_TRUE(AnswersSoon(server));
}

TEST(Deadline, PassesInTheQueueToo) {
  InProcessServer server([](Config& config) {
    LargeRequests(config);
    config.worker_threads = 1;
  });
  std::thread busy([&] {
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() + milliseconds(600));
    v1::ScoreResponse response;
    server.density().Score(&context, EndlessRequest(), &response);
  });
  std::this_thread::sleep_for(milliseconds(100));
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(1);
  v1::LogProbResponse response;
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + milliseconds(50));
  EXPECT_EQ(server.density().LogProb(&context, request, &response).error_code(),
            StatusCode::DEADLINE_EXCEEDED);
  busy.join();
  EXPECT_TRUE(AnswersSoon(server));
}

TEST(Cancellation, StopsTheWork) {
  InProcessServer server([](Config& config) {
    LargeRequests(config);
    config.worker_threads = 1;
  });
  grpc::ClientContext context;
  std::thread canceller([&] {
    std::this_thread::sleep_for(milliseconds(100));
    context.TryCancel();
  });
  v1::ScoreResponse response;
  EXPECT_EQ(server.density().Score(&context, EndlessRequest(), &response).error_code(),
            StatusCode::CANCELLED);
  canceller.join();
  EXPECT_TRUE(AnswersSoon(server));
}

TEST(Overload, AFullQueueIsUnavailable) {
  InProcessServer server([](Config& config) {
    LargeRequests(config);
    config.worker_threads = 1;
    config.queue.max_items = 1;
  });
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&] {
      grpc::ClientContext context;
      context.set_deadline(system_clock::now() + milliseconds(1000));
      v1::ScoreResponse response;
      server.density().Score(&context, EndlessRequest(), &response);
    });
    std::this_thread::sleep_for(milliseconds(100));
  }
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(1);
  v1::LogProbResponse response;
  grpc::ClientContext context;
  const grpc::Status status = server.density().LogProb(&context, request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_NE(status.error_message().find("--max_queue_requests"), std::string::npos);
  for (std::thread& caller : busy) caller.join();
  EXPECT_TRUE(AnswersSoon(server));
}

TEST(SlowReader, HoldsNoWorker) {
  InProcessServer server([](Config& config) {
    config.worker_threads = 1;
    config.limits.max_sample_rows = 10'000'000;
  });
  v1::SampleRequest request;
  request.set_name("small");
  request.set_count(10'000'000);  // 320 MB that nobody reads
  grpc::ClientContext context;
  const auto stream = server.density().Sample(&context, request);
  v1::SampleResponse chunk;
  ASSERT_TRUE(stream->Read(&chunk));
  std::this_thread::sleep_for(milliseconds(300));
  const auto begin = steady_clock::now();
  EXPECT_TRUE(AnswersSoon(server));
  EXPECT_LT(steady_clock::now() - begin, milliseconds(2000));
  context.TryCancel();
  while (stream->Read(&chunk)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
}

TEST(SlowReader, OpenSamplesAreCounted) {
  InProcessServer server([](Config& config) {
    config.max_sample_streams = 1;
    config.limits.max_sample_rows = 10'000'000;
  });
  v1::SampleRequest request;
  request.set_name("small");
  request.set_count(10'000'000);
  grpc::ClientContext first_context;
  const auto first = server.density().Sample(&first_context, request);
  v1::SampleResponse chunk;
  ASSERT_TRUE(first->Read(&chunk));
  grpc::ClientContext second_context;
  const auto second = server.density().Sample(&second_context, request);
  EXPECT_FALSE(second->Read(&chunk));
  EXPECT_EQ(second->Finish().error_code(), StatusCode::UNAVAILABLE);
  first_context.TryCancel();
  while (first->Read(&chunk)) {
  }
  first->Finish();
}

}  // namespace
}  // namespace millrace
