// SPDX-License-Identifier: Apache-2.0
// Requests that wait are computed together, and each gets what it would get alone.

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
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

// Calls that are made while the only worker is busy, and find their answers afterwards.
class BatchedCalls : public testing::Test {
 protected:
  // Makes the calls at once, waits until all of them wait in the queue, and lets the worker go on;
  // before that, `meanwhile`.
  void Run(
      const std::vector<std::function<void()>>& calls,
      const std::function<void()>& meanwhile = [] {}) {
    gate_->Close();
    std::thread busy([this] { EXPECT_TRUE(LogProb(server_).ok()); });
    gate_->AwaitCaller();
    std::vector<std::thread> callers;
    for (const std::function<void()>& call : calls) callers.emplace_back(call);
    while (!Shows("millrace_queue_depth " + std::to_string(calls.size())))
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    meanwhile();
    gate_->Open();
    busy.join();
    for (std::thread& caller : callers) caller.join();
  }

  bool Shows(const std::string& line) {
    return server_.Metrics().find("\n" + line) != std::string::npos;
  }

  grpc::Status Ask(const v1::LogProbRequest& request, v1::LogProbResponse& response) {
    grpc::ClientContext context;
    return server_.density().LogProb(&context, request, &response);
  }
  grpc::Status Ask(const v1::ScoreRequest& request, v1::ScoreResponse& response) {
    grpc::ClientContext context;
    return server_.density().Score(&context, request, &response);
  }
  grpc::Status Ask(const v1::SampleRequest& request, v1::SampleResponse& response) {
    grpc::ClientContext context;
    const auto stream = server_.density().Sample(&context, request);
    stream->Read(&response);
    return stream->Finish();
  }

  // Checks that calls made at once are answered as those made one by one.
  template <typename Request, typename Response>
  void ExpectTheSame(const std::vector<Request>& requests) {
    std::vector<Response> alone(requests.size()), together(requests.size());
    std::vector<std::function<void()>> calls;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(Ask(requests[i], alone[i]).ok());
      calls.push_back([&, i] { EXPECT_TRUE(Ask(requests[i], together[i]).ok()); });
    }
    Run(calls);
    for (std::size_t i = 0; i < requests.size(); ++i)
      EXPECT_EQ(together[i].SerializeAsString(), alone[i].SerializeAsString()) << i;
  }

  static std::string Series(const std::string& what, const std::string& op) {
    return "millrace_batch_requests_" + what + "{model=\"small\",op=\"" + op + "\",version=\"1\"} ";
  }

  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  InProcessServer server_{[](Config& config) {
                            config.worker_threads = 1;
                            ExposeMetrics(config);
                          },
                          MakeGatedBackend(gate_)};
};

template <typename Request>
std::vector<Request> RequestsOf(const std::vector<std::uint32_t>& rows) {
  std::vector<Request> requests;
  for (const std::uint32_t count : rows) {
    requests.emplace_back().set_name("small");
    *requests.back().mutable_rows() = SmallRows(count);
  }
  return requests;
}

TEST_F(BatchedCalls, LogProbHasTheBitsOfACallAlone) {
  auto requests = RequestsOf<v1::LogProbRequest>({1, 7, 130, 1, 300, 2});
  for (const char* name : {"u", "k", "y", "x"}) requests[3].add_column_names(name);
  *requests[3].mutable_rows() = MakeMatrix(1, 4, {0.5, 7, 10.2, 0.3});
  ExpectTheSame<v1::LogProbRequest, v1::LogProbResponse>(requests);
  EXPECT_TRUE(Shows(Series("sum", "log_prob") + "13"));   // alone, the busy one, and the batch
  EXPECT_TRUE(Shows(Series("count", "log_prob") + "8"));  // which counts once
}

TEST_F(BatchedCalls, ScoreHasTheBitsOfACallAlone) {
  auto requests = RequestsOf<v1::ScoreRequest>({1, 7, 130, 1, 2});
  requests[1].set_false_positive_rate(0.2);
  requests[2].set_false_positive_rate(0.5);
  requests[4].set_contributions(v1::CONTRIBUTIONS_CHAIN);  // runs alone
  ExpectTheSame<v1::ScoreRequest, v1::ScoreResponse>(requests);
  EXPECT_TRUE(Shows(Series("sum", "score") + "8"));
  EXPECT_TRUE(Shows(Series("count", "score") + "5"));
}

TEST_F(BatchedCalls, SampleHasTheBitsOfACallAlone) {
  std::vector<v1::SampleRequest> requests(5);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].set_name("small");
    requests[i].set_count(1 + 40 * i);
    requests[i].set_seed(i / 2);
    requests[i].set_temperature(0.5 + 0.1 * static_cast<double>(i));
  }
  ExpectTheSame<v1::SampleRequest, v1::SampleResponse>(requests);
  EXPECT_TRUE(Shows(Series("sum", "sample") + "10"));
  EXPECT_TRUE(Shows(Series("count", "sample") + "6"));
}

TEST_F(BatchedCalls, ABadOrCancelledOneHarmsNoOther) {
  auto requests = RequestsOf<v1::LogProbRequest>({3, 3, 3, 3, 3});
  v1::LogProbResponse expected;
  ASSERT_TRUE(Ask(requests[0], expected).ok());
  *requests[1].mutable_rows() =
      MakeMatrix(1, 4, {0, std::numeric_limits<double>::quiet_NaN(), 7, 0.5});
  requests[2].add_column_names("nonsense");
  for (int i = 0; i < 3; ++i) requests[2].add_column_names("z");
  grpc::Status statuses[5];
  v1::LogProbResponse responses[5];
  grpc::ClientContext contexts[5];
  std::vector<std::function<void()>> calls;
  for (int i = 0; i < 5; ++i) {
    calls.push_back([&, i] {
      statuses[i] = server_.density().LogProb(&contexts[i], requests[i], &responses[i]);
    });
  }
  Run(calls, [&] { contexts[3].TryCancel(); });
  EXPECT_EQ(statuses[1].error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf(statuses[1]).field(), "rows");
  EXPECT_EQ(DetailOf(statuses[1]).column(), 1U);
  EXPECT_EQ(statuses[2].error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailOf(statuses[2]).field(), "column_names[2]");
  EXPECT_EQ(statuses[3].error_code(), StatusCode::CANCELLED);
  for (const int i : {0, 4}) {
    EXPECT_TRUE(statuses[i].ok()) << statuses[i].error_message();
    EXPECT_EQ(responses[i].SerializeAsString(), expected.SerializeAsString());
  }
}

// The worker is in the middle of a batch when one of its callers gives up.
TEST_F(BatchedCalls, ACallerThatLeavesABatchStopsNoOther) {
  auto requests = RequestsOf<v1::LogProbRequest>({2, 2});
  grpc::ClientContext contexts[2];
  grpc::Status statuses[2];
  v1::LogProbResponse responses[2];
  std::vector<std::thread> callers;
  gate_->Close();
  std::thread busy([this] { EXPECT_TRUE(LogProb(server_).ok()); });
  gate_->AwaitCaller();
  for (int i = 0; i < 2; ++i)
    callers.emplace_back([&, i] {
      statuses[i] = server_.density().LogProb(&contexts[i], requests[i], &responses[i]);
    });
  while (!Shows("millrace_queue_depth 2")) std::this_thread::yield();
  gate_->LetPass();
  busy.join();
  gate_->AwaitCaller();  // the batch
  contexts[0].TryCancel();
  callers[0].join();
  EXPECT_EQ(statuses[0].error_code(), StatusCode::CANCELLED);
  gate_->Open();
  callers[1].join();
  EXPECT_TRUE(statuses[1].ok()) << statuses[1].error_message();
  EXPECT_EQ(responses[1].log_prob_size(), 2);
}

}  // namespace
}  // namespace millrace
