// SPDX-License-Identifier: Apache-2.0
// What takes less than waking a worker is computed where it arrives, and cannot be told from what
// a worker computes, except by its time.
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/support/gated_backend.h"
#include "tests/server/support/in_process_server.h"
#include "tests/server/support/small_model.h"

namespace millrace {
namespace {

using grpc::StatusCode;

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
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const grpc::Status status = (server.density().*method)(&context, request, &response);
  return status.ok() ? response.SerializeAsString()
                     : status.error_message() + status.error_details();
}

// The only worker of one of two servers is busy for good: what it answers, it answers inline.
class InlineAnswers : public testing::Test {
 protected:
  using Stub = v1::DensityService::Stub;

  InlineAnswers() {
    busy_ = std::thread([this] {
      v1::ScoreResponse unused;
      here_.density().Score(&endless_, EndlessRequest(), &unused);
    });
    while (here_.Metrics().find("grpc_method=\"Score\"") == std::string::npos)
      std::this_thread::yield();
  }
  ~InlineAnswers() override {
    endless_.TryCancel();
    busy_.join();
  }

  template <typename Method, typename Request, typename Response>
  void ExpectTheSame(Method method, const Request& request, const Response& response) {
    EXPECT_EQ(Answer(here_, method, request, response), Answer(queued_, method, request, response))
        << request.ShortDebugString();
  }

  InProcessServer queued_;
  InProcessServer here_{[](Config& config) {
    config.worker_threads = 1;
    config.max_inline_products = Config::kMostInlineProducts;
    ExposeMetrics(config);
    AllowEndless(config);
  }};
  grpc::ClientContext endless_;
  std::thread busy_;
};

TEST_F(InlineAnswers, AreThoseOfAWorker) {
  for (const std::uint32_t rows : {1U, 2U}) {
    ExpectTheSame(&Stub::LogProb, RequestOf<v1::LogProbRequest>(rows), v1::LogProbResponse());
    auto score = RequestOf<v1::ScoreRequest>(rows);
    ExpectTheSame(&Stub::Score, score, v1::ScoreResponse());
    score.set_contributions(v1::CONTRIBUTIONS_CHAIN);
    ExpectTheSame(&Stub::Score, score, v1::ScoreResponse());
    ExpectTheSame(&Stub::Encode, RequestOf<v1::EncodeRequest>(rows), v1::EncodeResponse());
    v1::DecodeRequest decode;
    decode.set_name("small");
    *decode.mutable_latents() = MakeMatrix(rows, 3, std::vector<double>(3 * rows, 0.25));
    ExpectTheSame(&Stub::Decode, decode, v1::DecodeResponse());
  }
  auto path = RequestOf<v1::InterpolateRequest>(2);
  path.set_steps(5);
  ExpectTheSame(&Stub::Interpolate, path, v1::InterpolateResponse());
}

TEST_F(InlineAnswers, ErrorsAreThoseOfAWorker) {
  auto request = RequestOf<v1::LogProbRequest>(2);
  *request.mutable_rows() =
      MakeMatrix(2, 4, {0, 10, 7, 0.5, 0, std::numeric_limits<double>::quiet_NaN(), 7, 0.5});
  ExpectTheSame(&Stub::LogProb, request, v1::LogProbResponse());
  request.add_column_names("nonsense");
  ExpectTheSame(&Stub::LogProb, request, v1::LogProbResponse());
}

// Enough for two rows of SmallModel, not for three.
std::int64_t ProductsOfTwoRows() { return 2 * (*Flow::Create(SmallModel().spec))->ProductsOfRow(); }

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
