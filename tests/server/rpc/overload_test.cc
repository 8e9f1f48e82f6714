// SPDX-License-Identifier: Apache-2.0
// More work than the server takes, and readers that do not read.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/support/gated_backend.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

grpc::Status Contributions(InProcessServer& server) {
  v1::ScoreRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(1);
  request.set_contributions(v1::CONTRIBUTIONS_CONDITIONAL);
  v1::ScoreResponse response;
  grpc::ClientContext context;
  return server.density().Score(&context, request, &response);
}

// What two calls end with that find the only worker taken and nothing else in the queue. One waits
// for the worker; the other is the first to end if it is refused.
std::vector<grpc::Status> TwoWhileBusy(const std::function<void(Config&)>& adjust,
                                       const std::function<grpc::Status(InProcessServer&)>& call) {
  const auto gate = std::make_shared<Gate>();
  InProcessServer server(
      [&](Config& config) {
        config.worker_threads = 1;
        adjust(config);
      },
      MakeGatedBackend(gate));
  gate->Close();
  std::thread busy([&] { EXPECT_TRUE(LogProb(server).ok()); });
  gate->AwaitCaller();
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<grpc::Status> ends;
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      grpc::Status status = call(server);
      const std::lock_guard lock(mutex);
      ends.push_back(std::move(status));
      changed.notify_all();
    });
  }
  {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, milliseconds(20'000), [&] { return !ends.empty(); });
    EXPECT_EQ(ends.size(), 1U);
  }
  gate->Open();
  busy.join();
  for (std::thread& caller : callers) caller.join();
  return ends;
}

TEST(Overload, AFullQueueIsUnavailable) {
  struct Case {
    std::string flag;
    std::function<void(Config&)> adjust;
    std::function<grpc::Status(InProcessServer&)> call;
  };
  const auto log_prob = [](InProcessServer& server) { return LogProb(server); };
  const Case cases[] = {
      {"--max_queue_requests", [](Config& c) { c.queue.max_queries = 1; }, log_prob},
      // Far more than the evaluations of two rows, less than those of two rows' contributions.
      {"--max_queue_evaluations", [](Config& c) { c.queue.max_cost.evaluations = 2000; },
       Contributions},
      {"--max_queue_bytes", [](Config& c) { c.queue.max_cost.bytes = 80; }, log_prob},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.flag);
    const std::vector<grpc::Status> ends = TwoWhileBusy(test.adjust, test.call);
    ASSERT_EQ(ends.size(), 2U);
    EXPECT_EQ(ends[0].error_code(), StatusCode::UNAVAILABLE);
    EXPECT_NE(ends[0].error_message().find(test.flag), std::string::npos)
        << ends[0].error_message();
    EXPECT_TRUE(ends[1].ok()) << ends[1].error_message();
  }
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
