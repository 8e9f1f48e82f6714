// SPDX-License-Identifier: Apache-2.0
// What takes less than waking a worker is computed where it arrives, and cannot be told from what
// a worker computes, except by its time.
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "tests/server/support/gated_backend.h"
#include "tests/server/support/in_process_server.h"
#include "tests/server/support/small_model.h"

namespace millrace {
namespace {

using grpc::StatusCode;

// Enough for two rows of SmallModel, not for three.
std::int64_t ProductsOfTwoRows() { return 2 * (*Flow::Create(SmallModel().spec))->ProductsOfRow(); }

template <typename Request>
Request RequestOf(std::uint32_t rows) {
  Request request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(rows);
  return request;
}

// The answer, or the error with its detail, as bytes.
template <typename Method, typename Request, typename Response>
std::string Answer(InProcessServer& server, Method method, const Request& request,
                   Response response) {
  grpc::ClientContext context;
  const grpc::Status status = (server.density().*method)(&context, request, &response);
  return status.ok() ? response.SerializeAsString()
                     : status.error_message() + status.error_details();
}

TEST(Inline, AnswersAreThoseOfAWorker) {
  using Stub = v1::DensityService::Stub;
  InProcessServer queued, here([](Config&config) {
    config.max_inline_products = std::numeric_limits<std::int64_t>::max() / 2;
  });
  const auto expect_the_same = [&](auto method, const auto& request, auto response) {
    EXPECT_EQ(Answer(here, method, request, response), Answer(queued, method, request, response))
        << request.ShortDebugString();
  };
  for (const std::uint32_t rows : {1U, 2U, 200U, 1001U}) {  // the last are refused
    expect_the_same(&Stub::LogProb, RequestOf<v1::LogProbRequest>(rows), v1::LogProbResponse());
    expect_the_same(&Stub::Score, RequestOf<v1::ScoreRequest>(rows), v1::ScoreResponse());
    expect_the_same(&Stub::Encode, RequestOf<v1::EncodeRequest>(rows), v1::EncodeResponse());
  }
  auto bad = RequestOf<v1::LogProbRequest>(1);
  *bad.mutable_rows() = MakeMatrix(1, 4, {0, std::numeric_limits<double>::quiet_NaN(), 7, 0.5});
  expect_the_same(&Stub::LogProb, bad, v1::LogProbResponse());
  auto path = RequestOf<v1::InterpolateRequest>(2);
  path.set_steps(5);
  expect_the_same(&Stub::Interpolate, path, v1::InterpolateResponse());
}

TEST(Inline, WaitsForNoWorkerUpToItsLimit) {
  const auto gate = std::make_shared<Gate>();
  InProcessServer server(
      [](Config& config) {
        config.worker_threads = 1;
        config.max_inline_products = ProductsOfTwoRows();
        ExposeMetrics(config);
      },
      MakeGatedBackend(gate));  // where log-densities wait, but no latent points
  const auto shows = [&](const std::string& line) {
    return server.Metrics().find("\n" + line) != std::string::npos;
  };
  const auto log_prob_of_three = [&] {
    v1::LogProbResponse response;
    grpc::ClientContext context;
    const auto request = RequestOf<v1::LogProbRequest>(3);
    EXPECT_TRUE(server.density().LogProb(&context, request, &response).ok());
  };
  gate->Close();
  std::thread busy(log_prob_of_three);
  gate->AwaitCaller();
  std::thread waiting(log_prob_of_three);
  while (!shows("millrace_queue_depth 1")) std::this_thread::yield();

  v1::EncodeResponse response;
  grpc::ClientContext context;
  EXPECT_TRUE(server.density().Encode(&context, RequestOf<v1::EncodeRequest>(2), &response).ok());
  EXPECT_TRUE(shows("millrace_queue_depth 1"));
  gate->Open();
  busy.join();
  waiting.join();
  const std::string labels = "{model=\"small\",op=\"encode\",version=\"1\"} ";
  EXPECT_TRUE(shows("millrace_rows_total" + labels + "2")) << server.Metrics();
}

}  // namespace
}  // namespace millrace
