// SPDX-License-Identifier: Apache-2.0
// StreamLogProb: slow readers, cancellation, deadlines, silence, limits, drain.

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/support/gated_backend.h"
#include "tests/server/support/in_process_server.h"
#include "tests/server/support/log_prob_stream.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Response = v1::StreamLogProbResponse;

TEST(StreamLogProb, ASlowReaderHoldsFewMessagesAndNoWorker) {
  InProcessServer server([](Config& config) {
    config.worker_threads = 1;
    config.limits.max_request_rows = 30'000;
  });
  const std::vector<double> values(4 * 30'000, 0.5);  // 960 kB a message, 270 kB a reply
  grpc::ClientContext context;
  const auto stream = server.density().StreamLogProb(&context);
  std::atomic<int> written = 0;
  std::thread writer([&] { WriteUntilStuck(*stream, values, 30'000, written, 1000); });
  int same = 0;  // readings in a row, of something
  for (int before = 0; same < 5; before = written) {
    std::this_thread::sleep_for(milliseconds(100));
    same = written == before && before > 0 ? same + 1 : 0;
  }
  EXPECT_LT(written, 50);  // what the server holds, and what both ends of the connection buffer
  EXPECT_TRUE(AnswersSoon(server));
  context.TryCancel();
  writer.join();
  Response reply;
  while (stream->Read(&reply)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  EXPECT_TRUE(AnswersSoon(server));
}

TEST(StreamLogProb, CancellingStopsTheWork) {
  const auto gate = std::make_shared<Gate>();
  InProcessServer server([](Config&) {}, MakeGatedBackend(gate));
  grpc::ClientContext context;
  const auto stream = server.density().StreamLogProb(&context);
  Response reply;
  ASSERT_TRUE(stream->Write(First(SmallRows(1))));
  ASSERT_TRUE(stream->Read(&reply));
  gate->Close();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stream->Write(Later(SmallRows(1))));
  gate->AwaitCaller();
  context.TryCancel();
  EXPECT_FALSE(stream->Read(&reply));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  gate->Open();
  EXPECT_TRUE(AnswersSoon(server));
}

TEST(StreamLogProb, TheCallersDeadlineHolds) {
  InProcessServer server;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(200));
  const auto stream = server.density().StreamLogProb(&context);
  ASSERT_TRUE(stream->Write(First(SmallRows(1))));
  Response reply;
  ASSERT_TRUE(stream->Read(&reply));
  EXPECT_FALSE(stream->Read(&reply));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
}

TEST(StreamLogProb, OutlivesTheLongestTimeOfOtherCalls) {
  InProcessServer server([](Config& config) { config.max_deadline = absl::Milliseconds(50); });
  grpc::ClientContext context;
  const auto stream = server.density().StreamLogProb(&context);
  Response reply;
  ASSERT_TRUE(stream->Write(First(SmallRows(1))));
  ASSERT_TRUE(stream->Read(&reply));
  std::this_thread::sleep_for(milliseconds(200));
  ASSERT_TRUE(stream->Write(Later(SmallRows(1))));
  ASSERT_TRUE(stream->Read(&reply));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST(StreamLogProb, ASilentCallerIsEnded) {
  InProcessServer server(
      [](Config& config) { config.upload_idle_timeout = absl::Milliseconds(100); });
  for (const int messages : {0, 1, 3}) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + milliseconds(20'000));
    const auto stream = server.density().StreamLogProb(&context);
    Response reply;
    for (int i = 0; i < messages; ++i) {
      ASSERT_TRUE(stream->Write(i == 0 ? First(SmallRows(1)) : Later(SmallRows(1))));
      ASSERT_TRUE(stream->Read(&reply));
    }
    EXPECT_FALSE(stream->Read(&reply));
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
    EXPECT_NE(status.error_message().find("--upload_idle_timeout"), std::string::npos)
        << status.error_message();
  }
}

TEST(StreamLogProb, AReaderWhoTakesNothingIsEnded) {
  InProcessServer server([](Config& config) {
    config.upload_idle_timeout = absl::Milliseconds(300);
    config.limits.max_request_rows = 30'000;
  });
  const std::vector<double> values(4 * 30'000, 0.5);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(20'000));
  const auto stream = server.density().StreamLogProb(&context);
  std::atomic<int> written = 0;
  WriteUntilStuck(*stream, values, 30'000, written, 1000);  // ends as the call does
  EXPECT_LT(written, 50);
  Response reply;
  while (stream->Read(&reply)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
}

TEST(StreamLogProb, SlowWorkIsNoSilence) {
  const auto gate = std::make_shared<Gate>();
  InProcessServer server(
      [](Config& config) { config.upload_idle_timeout = absl::Milliseconds(100); },
      MakeGatedBackend(gate));
  gate->Close();
  std::thread opener([&] {
    gate->AwaitCaller();
    std::this_thread::sleep_for(milliseconds(400));
    gate->Open();
  });
  const Outcome outcome = Exchange(server, {First(SmallRows(1)), Later(SmallRows(1))});
  opener.join();
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  EXPECT_EQ(outcome.replies.size(), 2U);
}

TEST(StreamLogProb, OpenStreamsAreCounted) {
  InProcessServer server([](Config& config) { config.max_log_prob_streams = 1; });
  {
    grpc::ClientContext context;
    const auto stream = server.density().StreamLogProb(&context);
    Response reply;
    ASSERT_TRUE(stream->Write(First(SmallRows(1))));
    ASSERT_TRUE(stream->Read(&reply));
    const Outcome second = Exchange(server, {});  // refused before it says anything
    EXPECT_EQ(second.status.error_code(), StatusCode::UNAVAILABLE);
    EXPECT_NE(second.status.error_message().find("--max_log_prob_streams"), std::string::npos);
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  }
  grpc::Status status;
  for (int i = 0; i < 100 && !(status = Exchange(server, {First(SmallRows(1))}).status).ok(); ++i)
    std::this_thread::sleep_for(milliseconds(20));  // the place is free a moment after the end
  EXPECT_TRUE(status.ok()) << status.error_message();
}

// Only the first message may find the queue full: a stream that was let in goes on.
TEST(StreamLogProb, AFullQueueRefusesNewStreamsOnly) {
  const auto gate = std::make_shared<Gate>();
  InProcessServer server(
      [](Config& config) {
        config.worker_threads = 1;
        config.queue.max_queries = 1;
        ExposeMetrics(config);
      },
      MakeGatedBackend(gate));
  grpc::ClientContext context;
  const auto stream = server.density().StreamLogProb(&context);
  Response reply;
  ASSERT_TRUE(stream->Write(First(SmallRows(1))));
  ASSERT_TRUE(stream->Read(&reply));
  gate->Close();
  std::thread busy([&] { EXPECT_TRUE(LogProb(server).ok()); });
  gate->AwaitCaller();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stream->Write(Later(SmallRows(1))));
  while (server.Metrics().find("\nmillrace_queue_depth 3") == std::string::npos)
    std::this_thread::sleep_for(milliseconds(5));
  const Outcome refused = Exchange(server, {First(SmallRows(1))});
  EXPECT_EQ(refused.status.error_code(), StatusCode::UNAVAILABLE);
  gate->Open();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(stream->Read(&reply));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  busy.join();
}

TEST(StreamLogProb, DrainingEndsItAfterWhatWasTaken) {
  const auto gate = std::make_shared<Gate>();
  InProcessServer server([](Config&) {}, MakeGatedBackend(gate));
  grpc::ClientContext context;
  const auto stream = server.density().StreamLogProb(&context);
  Response reply;
  ASSERT_TRUE(stream->Write(First(SmallRows(1))));
  ASSERT_TRUE(stream->Read(&reply));
  gate->Close();
  ASSERT_TRUE(stream->Write(Later(SmallRows(1))));
  gate->AwaitCaller();
  const auto begin = steady_clock::now();
  std::thread stop([&] { server.server().Stop(); });
  std::this_thread::sleep_for(milliseconds(100));
  gate->Open();
  EXPECT_TRUE(stream->Read(&reply));
  EXPECT_EQ(reply.first_row(), 1U);
  EXPECT_FALSE(stream->Read(&reply));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
  stop.join();
  EXPECT_LT(steady_clock::now() - begin, milliseconds(1800));  // not the whole grace
}

TEST(StreamLogProb, ACancellationMayMeetTheFirstMessage) {
  InProcessServer server;
  for (int i = 0; i < 300; ++i) {
    grpc::ClientContext context;
    const auto stream = server.density().StreamLogProb(&context);
    EXPECT_TRUE(stream->Write(First(SmallRows(1))));
    std::this_thread::sleep_for(std::chrono::microseconds(5 * (i % 60)));
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  }
  EXPECT_TRUE(AnswersSoon(server));
}

// Ends of all kinds meet messages of all kinds: every call ends once, and nothing is left behind.
TEST(StreamLogProb, EndsMayMeetMessages) {
  InProcessServer server(
      [](Config& config) { config.upload_idle_timeout = absl::Milliseconds(1); });
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&, c] {
      for (int i = 0; i < 40; ++i) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + milliseconds(20'000));
        const auto stream = server.density().StreamLogProb(&context);
        std::thread canceller;
        if (c % 2 == 0)
          canceller = std::thread([&, i] {
            std::this_thread::sleep_for(std::chrono::microseconds(50 * i));
            context.TryCancel();
          });
        std::thread writer([&] {
          for (int m = 0; m < 20; ++m)
            if (!stream->Write(m == 0 ? First(SmallRows(10)) : Later(SmallRows(10)))) return;
          stream->WritesDone();
        });
        Response reply;
        while (stream->Read(&reply)) {
        }
        writer.join();
        if (canceller.joinable()) canceller.join();
        const StatusCode code = stream->Finish().error_code();
        EXPECT_TRUE(code == StatusCode::OK || code == StatusCode::CANCELLED ||
                    code == StatusCode::DEADLINE_EXCEEDED)
            << code;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_TRUE(AnswersSoon(server));
}

}  // namespace
}  // namespace millrace
