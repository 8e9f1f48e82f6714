// SPDX-License-Identifier: Apache-2.0
// StreamLogProb: answers, bad messages, early ends, readers that do not read.

#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/support/gated_backend.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Request = v1::StreamLogProbRequest;
using Response = v1::StreamLogProbResponse;
using Stream = grpc::ClientReaderWriter<Request, Response>;

Request First(const v1::Matrix& rows, const std::string& name = "small") {
  Request request;
  request.set_name(name);
  *request.mutable_rows() = rows;
  return request;
}

Request Later(const v1::Matrix& rows) { return First(rows, ""); }

struct Outcome {
  std::vector<Response> replies;
  grpc::Status status;

  std::vector<double> LogProbs() const {
    std::vector<double> all;
    for (const Response& reply : replies)
      all.insert(all.end(), reply.log_prob().begin(), reply.log_prob().end());
    return all;
  }
};

// Sends all messages, closes its side, and reads what there is.
Outcome Exchange(InProcessServer& server, const std::vector<Request>& messages) {
  grpc::ClientContext context;
  const auto stream = server.density().StreamLogProb(&context);
  std::thread writer([&] {
    for (const Request& message : messages)
      if (!stream->Write(message)) return;
    stream->WritesDone();
  });
  Outcome outcome;
  Response reply;
  while (stream->Read(&reply)) outcome.replies.push_back(reply);
  writer.join();
  outcome.status = stream->Finish();
  return outcome;
}

std::vector<double> UnaryLogProb(InProcessServer& server, const v1::Matrix& rows) {
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = rows;
  v1::LogProbResponse response;
  grpc::ClientContext context;
  EXPECT_TRUE(server.density().LogProb(&context, request, &response).ok());
  return {response.log_prob().begin(), response.log_prob().end()};
}

TEST(StreamLogProb, AnswersEachMessageInOrderWithTheBitsOfLogProb) {
  InProcessServer server;
  std::vector<Request> messages;
  std::vector<double> expected;
  std::uint64_t rows = 0;
  for (const std::uint32_t count : {1, 300, 7, 1000, 2, 999, 1, 1, 1, 500}) {
    const v1::Matrix matrix = SmallRows(count);
    messages.push_back(messages.empty() ? First(matrix) : Later(matrix));
    const std::vector<double> some = UnaryLogProb(server, matrix);
    expected.insert(expected.end(), some.begin(), some.end());
  }
  const Outcome outcome = Exchange(server, messages);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  EXPECT_EQ(outcome.LogProbs(), expected);
  ASSERT_EQ(outcome.replies.size(), messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Response& reply = outcome.replies[i];
    EXPECT_EQ(reply.name(), "small");
    EXPECT_EQ(reply.version(), 1U);
    EXPECT_EQ(reply.first_row(), rows);
    EXPECT_EQ(reply.out_of_support_size(), reply.log_prob_size());
    rows += messages[i].rows().rows();
  }
}

TEST(StreamLogProb, NamesOfColumnsHoldForAllMessages) {
  InProcessServer server;
  Request first = First(MakeMatrix(1, 4, {0.5, 7, 10.2, 0.3}));
  for (const char* name : {"u", "k", "y", "x"}) first.add_column_names(name);
  const Outcome outcome =
      Exchange(server, {first, Later(MakeMatrix(2, 4, {0.5, 7, 10.2, 0.3, 0.5, 8, 10.2, 0.3}))});
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  const double expected = UnaryLogProb(server, MakeMatrix(1, 4, {0.3, 10.2, 7, 0.5}))[0];
  EXPECT_EQ(outcome.LogProbs(),
            (std::vector<double>{expected, expected, -std::numeric_limits<double>::infinity()}));
  EXPECT_TRUE(outcome.replies[1].out_of_support(1));
}

TEST(StreamLogProb, AStreamWithoutMessagesIsEmpty) {
  InProcessServer server;
  const Outcome outcome = Exchange(server, {});
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  EXPECT_TRUE(outcome.replies.empty());
}

TEST(StreamLogProb, ABadMessageEndsTheCallAfterTheRepliesBeforeIt) {
  struct Case {
    std::string what;
    std::size_t at;  // among four messages
    std::function<void(Request&)> spoil;
    StatusCode code;
    std::string field;
    std::uint64_t row = 0;
  };
  const auto nan_in_row_2 = [](Request& request) {
    std::vector<double> values(12, 0.5);
    values[9] = std::numeric_limits<double>::quiet_NaN();
    *request.mutable_rows() = MakeMatrix(3, 4, values);
  };
  const Case cases[] = {
      {"no name", 0, [](Request& r) { r.clear_name(); }, StatusCode::INVALID_ARGUMENT, "name"},
      {"unknown", 0, [](Request& r) { r.set_name("ghost"); }, StatusCode::NOT_FOUND, ""},
      {"unknown version", 0, [](Request& r) { r.set_version(9); }, StatusCode::NOT_FOUND, ""},
      {"unknown column", 0, [](Request& r) { r.add_column_names("z"); },
       StatusCode::INVALID_ARGUMENT, "column_names"},
      {"a bad row at once", 0, nan_in_row_2, StatusCode::INVALID_ARGUMENT, "rows", 2},
      {"a bad row in the third", 2, nan_in_row_2, StatusCode::INVALID_ARGUMENT, "rows", 22},
      {"no rows", 2, [](Request& r) { r.clear_rows(); }, StatusCode::INVALID_ARGUMENT, "rows.rows"},
      {"another width", 3,
       [](Request& r) {
         *r.mutable_rows() = MakeMatrix(1, 3, {1, 2, 3});
       },
       StatusCode::INVALID_ARGUMENT, "rows.cols"},
      {"too many rows", 3, [](Request& r) { *r.mutable_rows() = SmallRows(1001); },
       StatusCode::RESOURCE_EXHAUSTED, "rows.rows"},
      {"a context", 3, [](Request& r) { *r.mutable_context() = SmallRows(1); },
       StatusCode::INVALID_ARGUMENT, "context"},
      {"a second name", 1, [](Request& r) { r.set_name("small"); }, StatusCode::INVALID_ARGUMENT,
       "name"},
      {"a second version", 1, [](Request& r) { r.set_version(1); }, StatusCode::INVALID_ARGUMENT,
       "version"},
      {"second names", 1, [](Request& r) { r.add_column_names("x"); }, StatusCode::INVALID_ARGUMENT,
       "column_names"},
      {"second names of a context", 1, [](Request& r) { r.add_context_column_names("x"); },
       StatusCode::INVALID_ARGUMENT, "context_column_names"},
  };
  InProcessServer server;
  for (const Case& test : cases) {
    SCOPED_TRACE(test.what);
    std::vector<Request> messages = {First(SmallRows(10))};
    messages.resize(4, Later(SmallRows(10)));
    test.spoil(messages[test.at]);
    const Outcome outcome = Exchange(server, messages);
    EXPECT_EQ(outcome.status.error_code(), test.code) << outcome.status.error_message();
    EXPECT_EQ(outcome.replies.size(), test.at);
    if (test.field.empty()) continue;
    const v1::ErrorDetail detail = DetailOf(outcome.status);
    EXPECT_EQ(detail.field(), test.field);
    EXPECT_EQ(detail.row(), test.row);
    if (test.row == 0) continue;
    EXPECT_EQ(detail.column(), 1U);
    EXPECT_NE(outcome.status.error_message().find("row " + std::to_string(test.row)),
              std::string::npos)
        << outcome.status.error_message();
  }
}

TEST(StreamLogProb, AReplyComesWithoutAnotherMessage) {
  InProcessServer server;
  grpc::ClientContext context;
  const auto stream = server.density().StreamLogProb(&context);
  Response reply;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(stream->Write(i == 0 ? First(SmallRows(3)) : Later(SmallRows(3))));
    ASSERT_TRUE(stream->Read(&reply));
    EXPECT_EQ(reply.first_row(), 3U * i);
  }
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&reply));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST(StreamLogProb, AnOpenStreamKeepsItsVersion) {
  InProcessServer server;
  grpc::ClientContext context;
  const auto stream = server.density().StreamLogProb(&context);
  Response reply;
  ASSERT_TRUE(stream->Write(First(SmallRows(1))));
  ASSERT_TRUE(stream->Read(&reply));
  v1::DeleteModelRequest request;
  request.set_name("small");
  request.set_version(1);
  v1::DeleteModelResponse response;
  grpc::ClientContext deletion;
  ASSERT_TRUE(server.models().DeleteModel(&deletion, request, &response).ok());
  ASSERT_TRUE(stream->Write(Later(SmallRows(1))));
  ASSERT_TRUE(stream->Read(&reply));
  EXPECT_EQ(reply.version(), 1U);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

// Writes until nothing is taken any more; says how many messages were.
int WriteUntilStuck(Stream& stream, const std::vector<double>& values, std::uint32_t rows,
                    std::atomic<int>& written, int most) {
  for (int i = 0; i < most; ++i) {
    if (!stream.Write(i == 0 ? First(MakeMatrix(rows, 4, values))
                             : Later(MakeMatrix(rows, 4, values))))
      break;
    ++written;
  }
  return written;
}

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
  int before = -1;
  do {  // until it stands still
    before = written;
    std::this_thread::sleep_for(milliseconds(300));
  } while (written != before || before == 0);
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
