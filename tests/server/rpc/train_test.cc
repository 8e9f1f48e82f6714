// SPDX-License-Identifier: Apache-2.0
// Training through real calls: what comes back, and what a caller who leaves does not leave behind.

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

v1::TrainSpec EndlessSpec(const std::string& name) {
  v1::TrainSpec spec = QuickSpec(name);
  spec.mutable_options()->set_max_epochs(1'000'000);
  spec.mutable_options()->set_patience(1'000'000);
  return spec;
}

StatusCode CodeOfGet(InProcessServer& server, const std::string& name) {
  v1::GetModelRequest request;
  request.set_name(name);
  v1::GetModelResponse response;
  grpc::ClientContext context;
  return server.models().GetModel(&context, request, &response).error_code();
}

// The training of `name` is over, as the server sees it.
bool CanTrainAgain(InProcessServer& server, const std::string& name) {
  for (const auto begin = steady_clock::now();
       steady_clock::now() - begin < milliseconds(10'000);) {
    const grpc::Status status =
        Train(server.density(), TrainMessages(QuickSpec(name), {QuickTable()}));
    if (status.ok()) return true;
    EXPECT_EQ(status.error_code(), StatusCode::ABORTED) << status.error_message();
    std::this_thread::sleep_for(milliseconds(20));
  }
  return false;
}

TEST(Train, AnswersAcceptedProgressDoneAndServes) {
  InProcessServer server;
  std::vector<v1::TrainResponse> events;
  v1::TrainSpec spec = QuickSpec("moons");
  spec.add_columns()->set_name("left");
  spec.add_columns()->set_name("right");
  const grpc::Status status =
      Train(server.density(), TrainMessages(spec, {QuickTable(100), QuickTable(50), QuickTable(1)}),
            &events);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_GE(events.size(), 2U);
  ASSERT_TRUE(events.front().has_accepted());
  EXPECT_EQ(events.front().accepted().name(), "moons");
  EXPECT_EQ(events.front().accepted().rows(), 151U);
  EXPECT_EQ(events.front().accepted().cols(), 2U);
  for (std::size_t i = 1; i + 1 < events.size(); ++i) EXPECT_TRUE(events[i].has_progress());
  ASSERT_TRUE(events.back().has_done());
  EXPECT_EQ(events.back().done().name(), "moons");
  EXPECT_EQ(events.back().done().version(), 1U);
  const v1::TrainingReport& report = events.back().done().report();
  EXPECT_EQ(report.fit_rows() + report.validation_rows() + report.calibration_rows(), 151U);
  EXPECT_EQ(report.held_out().rows(), report.calibration_rows());

  v1::LogProbRequest request;
  request.set_name("moons");
  *request.mutable_rows() = QuickTable(3);
  request.add_column_names("right");
  request.add_column_names("left");
  v1::LogProbResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.density().LogProb(&context, request, &response).ok());
  EXPECT_EQ(response.version(), 1U);
}

TEST(Train, AKnownNameMakesTheNextVersion) {
  InProcessServer server;
  for (std::uint64_t version = 1; version <= 3; ++version) {
    std::vector<v1::TrainResponse> events;
    ASSERT_TRUE(
        Train(server.density(), TrainMessages(QuickSpec("moons"), {QuickTable()}), &events).ok());
    EXPECT_EQ(events.back().done().version(), version);
  }
}

TEST(Train, ReportsAtLeastOncePerSecondUntilItIsCancelled) {
  InProcessServer server(ExposeMetrics);
  grpc::ClientContext context;
  const auto stream = server.density().Train(&context);
  for (const auto& message : TrainMessages(EndlessSpec("endless"), {QuickTable()}))
    stream->Write(message);
  stream->WritesDone();
  v1::TrainResponse event;
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_TRUE(event.has_accepted());
  auto last = steady_clock::now();
  std::uint32_t epoch = 0;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(stream->Read(&event));
    ASSERT_TRUE(event.has_progress());
    EXPECT_LT(steady_clock::now() - last, milliseconds(1500));
    last = steady_clock::now();
    EXPECT_GE(event.progress().epoch(), epoch);
    EXPECT_EQ(event.progress().has_remaining(), event.progress().step() > 0);
    epoch = event.progress().epoch();
  }
  EXPECT_GT(epoch, 0U);
  EXPECT_NE(server.Metrics().find("millrace_train_jobs 1"), std::string::npos);
  EXPECT_NE(server.Metrics().find("millrace_train_loss{model=\"endless\",split=\"validation\"}"),
            std::string::npos);

  // Meanwhile the same name is taken, and another is not.
  EXPECT_EQ(
      Train(server.density(), TrainMessages(QuickSpec("endless"), {QuickTable()})).error_code(),
      StatusCode::ABORTED);
  EXPECT_TRUE(Train(server.density(), TrainMessages(QuickSpec("other"), {QuickTable()})).ok());

  context.TryCancel();
  while (stream->Read(&event)) EXPECT_FALSE(event.has_done());
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  EXPECT_EQ(CodeOfGet(server, "endless"), StatusCode::NOT_FOUND);
  ASSERT_TRUE(CanTrainAgain(server, "endless"));
  EXPECT_EQ(CodeOfGet(server, "endless"), StatusCode::OK);
}

TEST(Train, ADisconnectedCallerLeavesNothingBehind) {
  InProcessServer server;
  {
    auto channel = server.NewChannel();
    const auto stub = v1::DensityService::NewStub(channel);
    grpc::ClientContext context;
    const auto stream = stub->Train(&context);
    for (const auto& message : TrainMessages(EndlessSpec("lost"), {QuickTable()}))
      stream->Write(message);
    stream->WritesDone();
    v1::TrainResponse event;
    ASSERT_TRUE(stream->Read(&event));
    ASSERT_TRUE(stream->Read(&event));  // training is under way
    // The stream, the context and the connection go away without a word.
  }
  ASSERT_TRUE(CanTrainAgain(server, "lost"));
  v1::GetModelRequest request;
  request.set_name("lost");
  v1::GetModelResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.models().GetModel(&context, request, &response).ok());
  EXPECT_EQ(response.model().version(), 1U);  // of the second training: the first published nothing
}

// A stream of raw messages under the name of Train.
class RawTrain {
 public:
  explicit RawTrain(InProcessServer& server)
      : stub_(server.channel()),
        call_(stub_.PrepareCall(&context_, "/millrace.v1.DensityService/Train", &queue_)) {
    call_->StartCall(nullptr);
    Next();
  }
  ~RawTrain() {
    queue_.Shutdown();
    while (Next()) {
    }
  }

  void Write(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    call_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    Next();
  }

  grpc::Status Finish() {
    call_->WritesDone(nullptr);
    Next();
    grpc::Status status;
    call_->Finish(&status, nullptr);
    Next();
    return status;
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok);
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

TEST(Train, HalfATableIsNeverTrainedOn) {
  InProcessServer server;
  const auto messages = TrainMessages(QuickSpec("half"), {QuickTable()});
  {
    RawTrain undecodable(server);
    for (const auto& message : messages) undecodable.Write(message.SerializeAsString());
    undecodable.Write("\xff\xff\xff");
    const grpc::Status status = undecodable.Finish();
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_EQ(DetailOf(status).field(), "message");
  }
  for (int i = 0; i < 20; ++i) {
    grpc::Status status;
    do {  // gRPC itself answers this caller, perhaps before the last one's place is free
      RawTrain oversized(server);
      for (const auto& message : messages) oversized.Write(message.SerializeAsString());
      oversized.Write(std::string(2 << 20, '\0'));
      status = oversized.Finish();
    } while (status.error_code() == StatusCode::ABORTED);
    EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  }
  ASSERT_TRUE(CanTrainAgain(server, "half"));
  v1::GetModelRequest request;
  request.set_name("half");
  v1::GetModelResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.models().GetModel(&context, request, &response).ok());
  EXPECT_EQ(response.model().version(), 1U);
}

TEST(Train, ACallerLostWhileUploadingFreesItsPlace) {
  InProcessServer server([](Config& config) { config.max_trainings = 1; });
  {
    grpc::ClientContext context;
    const auto stream = server.density().Train(&context);
    stream->Write(TrainMessages(QuickSpec("half"), {})[0]);
    v1::TrainRequest chunk;
    *chunk.mutable_chunk() = QuickTable(100);
    stream->Write(chunk);
    std::this_thread::sleep_for(milliseconds(50));
    EXPECT_EQ(
        Train(server.density(), TrainMessages(QuickSpec("other"), {QuickTable()})).error_code(),
        StatusCode::UNAVAILABLE);
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  }
  ASSERT_TRUE(CanTrainAgain(server, "half"));
}

}  // namespace
}  // namespace millrace
