// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "core/cpu/cpu_backend.h"
#include "gtest/gtest.h"
#include "tests/server/support/gated_backend.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

bool IsEndedByServer(const grpc::Status& status) {
  return status.error_code() == StatusCode::CANCELLED ||
         status.error_code() == StatusCode::UNAVAILABLE;
}

TEST(Shutdown, AnIdleServerEndsAtOnce) {
  InProcessServer server(ExposeMetrics);
  EXPECT_TRUE(LogProb(server).ok());
  const auto begin = steady_clock::now();
  server.server().Stop();
  server.server().Stop();  // again is harmless
  EXPECT_LT(steady_clock::now() - begin, milliseconds(1500));
  EXPECT_EQ(LogProb(server).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.server().metrics_port(), 0);
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
    AllowEndless(config);
    config.shutdown_grace = absl::Milliseconds(200);
  });
  grpc::Status status;
  std::thread call([&] {
    v1::ScoreResponse response;
    grpc::ClientContext context;
    status = server.density().Score(&context, EndlessRequest(), &response);
  });
  std::this_thread::sleep_for(milliseconds(300));
  const auto begin = steady_clock::now();
  server.server().Stop();
  EXPECT_LT(steady_clock::now() - begin, milliseconds(3000));
  call.join();
  EXPECT_TRUE(IsEndedByServer(status)) << status.error_message();
}

TEST(Shutdown, ATrainingThatDoesNotLookUpKeepsNoOtherCallAlive) {
  const auto gate = std::make_shared<Gate>();
  InProcessServer server(
      [](Config& config) {
        config.limits.max_sample_rows = 1'000'000'000;
        config.shutdown_grace = absl::Milliseconds(200);
      },
      MakeGatedBackend(gate));
  gate->Close();
  std::thread training([&] {
    EXPECT_FALSE(Train(server.density(), TrainMessages(QuickSpec("stuck"), {QuickTable()})).ok());
  });
  gate->AwaitCaller();
  v1::SampleRequest request;
  request.set_name("small");
  request.set_count(1'000'000'000);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(20'000));
  const auto samples = server.density().Sample(&context, request);
  v1::SampleResponse chunk;
  EXPECT_TRUE(samples->Read(&chunk));
  std::thread stop([&] { server.server().Stop(); });
  while (samples->Read(&chunk)) {
  }
  EXPECT_TRUE(IsEndedByServer(samples->Finish()));
  gate->Open();
  stop.join();
  training.join();
}

TEST(Start, SaysThatThePortIsTaken) {
  InProcessServer first(ExposeMetrics);
  const auto backend = CreateCpuBackend({.threads = 1});
  TempFolder folder;
  Config config;
  config.model_dir = folder.path();
  config.metrics_address = "";
  config.address = "127.0.0.1:" + std::to_string(first.server().port());
  auto second = Server::Start(config, *backend, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_NE(second.status().message().find("--address=" + config.address), absl::string_view::npos);

  config.address = "127.0.0.1:0";
  config.metrics_address = "127.0.0.1:" + std::to_string(first.server().metrics_port());
  second = Server::Start(config, *backend, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_NE(second.status().message().find("--metrics_address"), absl::string_view::npos);

  config.metrics_address = "";
  config.model_dir = first.model_dir();
  second = Server::Start(config, *backend, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

}  // namespace
}  // namespace millrace
