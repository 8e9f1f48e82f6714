// SPDX-License-Identifier: Apache-2.0
// StreamLogProb: answers, bad messages, the version of a stream.

#include "tests/server/support/log_prob_stream.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using Request = v1::StreamLogProbRequest;
using Response = v1::StreamLogProbResponse;

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

}  // namespace
}  // namespace millrace
