// SPDX-License-Identifier: Apache-2.0
// Callers of Train that fall silent while they send their table.

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

v1::TrainRequest Chunk(std::uint32_t rows) {
  v1::TrainRequest message;
  *message.mutable_chunk() = QuickTable(rows);
  return message;
}

void GiveUpAfter(grpc::ClientContext& context, milliseconds patience) {
  context.set_deadline(std::chrono::system_clock::now() + patience);
}

bool NamesTheLimit(const grpc::Status& status) {
  return status.error_message().find("--upload_idle_timeout") != std::string::npos;
}

TEST(Upload, ASilentCallerLosesItsPlace) {
  InProcessServer server([](Config& config) {
    config.max_trainings = 1;
    config.upload_idle_timeout = absl::Milliseconds(200);
  });
  for (const bool with_chunk : {false, true}) {
    grpc::ClientContext context;
    GiveUpAfter(context, milliseconds(20'000));
    const auto stream = server.density().Train(&context);
    stream->Write(TrainMessages(QuickSpec("silent"), {})[0]);
    if (with_chunk) stream->Write(Chunk(100));
    v1::TrainResponse event;
    EXPECT_FALSE(stream->Read(&event));
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
    EXPECT_TRUE(NamesTheLimit(status)) << status.error_message();
    EXPECT_TRUE(Train(server.density(), TrainMessages(QuickSpec("other"), {QuickTable()})).ok());
  }
}

TEST(Upload, ACallerWhoSaysNothingAtAllIsEnded) {
  InProcessServer server(
      [](Config& config) { config.upload_idle_timeout = absl::Milliseconds(100); });
  grpc::ClientContext context;
  GiveUpAfter(context, milliseconds(20'000));
  const auto stream = server.density().Train(&context);
  v1::TrainResponse event;
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_TRUE(NamesTheLimit(stream->Finish()));
}

TEST(Upload, OnlySilenceCountsAndOnlyUntilTheTableIsIn) {
  InProcessServer server(
      [](Config& config) { config.upload_idle_timeout = absl::Milliseconds(1500); });
  v1::TrainSpec spec = QuickSpec("slow");
  spec.mutable_options()->set_max_epochs(1'000'000);
  spec.mutable_options()->set_patience(1'000'000);
  grpc::ClientContext context;
  const auto stream = server.density().Train(&context);
  stream->Write(TrainMessages(spec, {})[0]);
  for (int i = 0; i < 4; ++i) {  // longer than the limit in all
    std::this_thread::sleep_for(milliseconds(500));
    EXPECT_TRUE(stream->Write(Chunk(50)));
  }
  stream->WritesDone();
  const auto closed = steady_clock::now();
  v1::TrainResponse event;
  while (steady_clock::now() - closed < milliseconds(2000)) ASSERT_TRUE(stream->Read(&event));
  context.TryCancel();
  while (stream->Read(&event)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
}

// The limit passes while messages are read and handled: whatever comes first, each call ends once.
TEST(Upload, SilenceMayMeetAMessage) {
  InProcessServer server([](Config& config) {
    config.max_trainings = 8;
    config.upload_idle_timeout = absl::Milliseconds(1);
  });
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&, c] {
      const auto messages = TrainMessages(QuickSpec("caller-" + std::to_string(c)),
                                          std::vector<v1::Matrix>(100, QuickTable(10)));
      for (int i = 0; i < 50; ++i) {
        const grpc::Status status = Train(server.density(), messages);
        EXPECT_TRUE(status.ok() || NamesTheLimit(status)) << status.error_message();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_TRUE(AnswersSoon(server));
}

}  // namespace
}  // namespace millrace
