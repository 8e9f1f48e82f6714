// SPDX-License-Identifier: Apache-2.0
// Deadlines and cancellations.

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "tests/server/support/gated_backend.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

TEST(Deadline, OfTheClientStopsTheWork) {
  InProcessServer server([](Config& config) {
    AllowEndless(config);
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
    AllowEndless(config);
    config.max_deadline = absl::Milliseconds(100);
  });
  grpc::ClientContext context;
  v1::ScoreResponse response;
  const grpc::Status status = server.density().Score(&context, EndlessRequest(), &response);
  EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(DetailOf(status).field(), "");
  EXPECT_TRUE(AnswersSoon(server));
}

TEST(Deadline, OfTheServerHoldsForASmallRequestInALargeBatch) {
  const auto gate = std::make_shared<Gate>();
  InProcessServer server(
      [](Config& config) {
        config.max_deadline = absl::Milliseconds(100);
        config.batch.max_evaluations = 1'000'000;
      },
      MakeGatedBackend(gate));
  gate->Close();
  std::thread opener([&] {
    gate->AwaitCaller();
    std::this_thread::sleep_for(milliseconds(300));
    gate->Open();
  });
  EXPECT_EQ(LogProb(server).error_code(), StatusCode::DEADLINE_EXCEEDED);
  opener.join();
}

TEST(Deadline, PassesInTheQueueToo) {
  const auto gate = std::make_shared<Gate>();
  InProcessServer server(
      [](Config& config) {
        ExposeMetrics(config);
        config.worker_threads = 1;
      },
      MakeGatedBackend(gate));
  gate->Close();
  std::thread busy([&] { EXPECT_TRUE(LogProb(server).ok()); });
  gate->AwaitCaller();
  // This caller gives up by itself; what the server makes of its call shows in the metrics.
  const auto deadline = system_clock::now() + milliseconds(50);
  EXPECT_EQ(LogProb(server, deadline).error_code(), StatusCode::DEADLINE_EXCEEDED);
  gate->Open();
  busy.join();
  const auto handled = [&server](const std::string& code, int count) {
    return server.Metrics().find("grpc_server_handled_total{grpc_code=\"" + code +
                                 "\",grpc_method=\"LogProb\",grpc_service=\"millrace.v1."
                                 "DensityService\",grpc_type=\"unary\"} " +
                                 std::to_string(count) + "\n") != std::string::npos;
  };
  const auto patience = steady_clock::now() + milliseconds(20'000);
  while (!handled("DeadlineExceeded", 1) && steady_clock::now() < patience) {
    ASSERT_FALSE(handled("OK", 2)) << "computed after its deadline";
  }
  EXPECT_TRUE(handled("DeadlineExceeded", 1)) << server.Metrics();
  EXPECT_EQ(gate->callers(), 1);  // it never came to be computed
}

TEST(Cancellation, StopsTheWork) {
  InProcessServer server([](Config& config) {
    AllowEndless(config);
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

}  // namespace
}  // namespace millrace
