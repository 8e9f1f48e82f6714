// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "core/cpu/cpu_backend.h"
#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

grpc::Status LogProb(InProcessServer& server) {
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(1);
  v1::LogProbResponse response;
  grpc::ClientContext context;
  return server.density().LogProb(&context, request, &response);
}

TEST(Shutdown, AnIdleServerEndsAtOnce) {
  InProcessServer server;
  EXPECT_TRUE(LogProb(server).ok());
  const auto begin = steady_clock::now();
  server.server().Stop();
  server.server().Stop();  // again is harmless
  EXPECT_LT(steady_clock::now() - begin, milliseconds(1500));
  EXPECT_EQ(LogProb(server).error_code(), StatusCode::UNAVAILABLE);
}

TEST(Shutdown, GoesOnWorkingForTheDrainDelay) {
  InProcessServer server([](Config& config) { config.drain_delay = absl::Milliseconds(600); });
  std::thread stop([&] { server.server().Stop(); });
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_TRUE(LogProb(server).ok());
  stop.join();
}

TEST(Shutdown, EndsTrainingsAndUploadsAndPublishesNothing) {
  InProcessServer server;
  v1::TrainSpec spec = QuickSpec("endless");
  spec.mutable_options()->set_max_epochs(1'000'000);
  spec.mutable_options()->set_patience(1'000'000);
  grpc::ClientContext training_context, uploading_context;
  const auto training = server.density().Train(&training_context);
  for (const auto& message : TrainMessages(spec, {QuickTable()})) training->Write(message);
  training->WritesDone();
  v1::TrainResponse event;
  ASSERT_TRUE(training->Read(&event));
  const auto uploading = server.density().Train(&uploading_context);
  uploading->Write(TrainMessages(QuickSpec("half"), {})[0]);
  std::this_thread::sleep_for(milliseconds(100));

  const auto begin = steady_clock::now();
  server.server().Stop();
  EXPECT_LT(steady_clock::now() - begin, milliseconds(1500));
  while (training->Read(&event)) EXPECT_TRUE(event.has_progress());
  EXPECT_EQ(training->Finish().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_FALSE(uploading->Read(&event));
  EXPECT_EQ(uploading->Finish().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_FALSE(std::filesystem::exists(server.model_dir() + "/endless/1"));
}

TEST(Shutdown, ACallThatOutlastsTheGraceIsCancelled) {
  InProcessServer server([](Config& config) {
    config.limits.max_request_rows = 100'000;
    config.shutdown_grace = absl::Milliseconds(200);
  });
  grpc::Status status;
  std::thread call([&] {
    v1::ScoreRequest request;
    request.set_name("small");
    *request.mutable_rows() = SmallRows(16'000);
    request.set_contributions(v1::CONTRIBUTIONS_CONDITIONAL);
    v1::ScoreResponse response;
    grpc::ClientContext context;
    status = server.density().Score(&context, request, &response);
  });
  std::this_thread::sleep_for(milliseconds(300));
  const auto begin = steady_clock::now();
  server.server().Stop();
  EXPECT_LT(steady_clock::now() - begin, milliseconds(3000));
  call.join();
  EXPECT_TRUE(status.error_code() == StatusCode::CANCELLED ||
              status.error_code() == StatusCode::UNAVAILABLE)
      << status.error_message();
}

TEST(Start, SaysThatThePortIsTaken) {
  InProcessServer first(ExposeMetrics);
  const auto backend = CreateCpuBackend({.threads = 1});
  TempFolder folder;
  Config config;
  config.model_dir = folder.path();
  config.metrics_address = "";
  config.address = "127.0.0.1:" + std::to_string(first.server().port());
  auto second = Server::Start(config, *backend, "0");
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_NE(second.status().message().find("--address=" + config.address), absl::string_view::npos);

  config.address = "127.0.0.1:0";
  config.metrics_address = "127.0.0.1:" + std::to_string(first.server().metrics_port());
  second = Server::Start(config, *backend, "0");
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_NE(second.status().message().find("--metrics_address"), absl::string_view::npos);

  config.metrics_address = "";
  config.model_dir = first.model_dir();
  second = Server::Start(config, *backend, "0");
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

}  // namespace
}  // namespace millrace
