// SPDX-License-Identifier: Apache-2.0
// LogProb of any number of rows: order, repetition, early ends, what is on its way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/client.h"
#include "client/status.h"
#include "tests/client/fake_server.h"

namespace millrace::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Message = v1::StreamLogProbRequest;
using Reply = v1::StreamLogProbResponse;

// The log-density of a row is its first element.
Reply Answer(const Message& message, std::uint64_t first_row, std::uint64_t version = 3) {
  const Table rows = *FromMatrix(message.rows());
  Reply reply;
  reply.set_version(version);
  reply.set_first_row(first_row);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    reply.add_log_prob(rows(r, 0));
    reply.add_out_of_support(rows(r, 0) == 4);
  }
  return reply;
}

// Pieces of these many rows, one column, elements counted over all of them.
RowsSource Pieces(std::vector<std::int64_t> sizes) {
  double next = 0;
  std::size_t piece = 0;
  return [=]() mutable -> absl::StatusOr<RowsPiece> {
    if (piece == sizes.size()) return RowsPiece{};
    Table table = Counting(sizes[piece++], 1);
    table.column_names = {"x"};
    for (double& value : table.values) value = next++;
    return RowsPiece{std::move(table)};
  };
}

// What a sink was handed.
struct Heard {
  std::vector<std::size_t> sizes;
  std::vector<double> log_prob;
  std::vector<bool> out_of_support;

  LogProbSink Sink() {
    return [this](const RowsPiece& piece, const LogProbResult& result) {
      EXPECT_EQ(piece.rows.values, result.log_prob);
      sizes.push_back(result.log_prob.size());
      log_prob.insert(log_prob.end(), result.log_prob.begin(), result.log_prob.end());
      out_of_support.insert(out_of_support.end(), result.out_of_support.begin(),
                            result.out_of_support.end());
      return absl::OkStatus();
    };
  }
};

std::vector<double> Numbers(int count) {
  std::vector<double> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(i);
  return numbers;
}

class LogProbStreamTest : public testing::Test {
 protected:
  // Answers every message, after `before` with the messages seen so far, whose failure ends it.
  void Answering(std::function<grpc::Status(const std::vector<Message>&)> before = {}) {
    server_.stream_log_prob = [this, before](auto&, auto& stream) {
      std::uint64_t first_row = 0;
      Message message;
      while (stream.Read(&message)) {
        seen_.push_back(message);
        if (before) {
          if (const grpc::Status status = before(seen_); !status.ok()) return status;
        }
        stream.Write(Answer(message, first_row));
        first_row += message.rows().rows();
      }
      return grpc::Status::OK;
    };
  }

  FakeServer server_;
  std::vector<Message> seen_;
  Heard heard_;
};

TEST_F(LogProbStreamTest, HandsPiecesOnWithTheirAnswers) {
  Answering();
  const auto version =
      server_.Connect({.request_rows = 4}).LogProb({"moons", 2}, Pieces({3, 10, 1}), heard_.Sink());
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, 3U);
  EXPECT_EQ(server_.calls, 1);
  EXPECT_THAT(heard_.sizes, ElementsAre(3, 10, 1));
  EXPECT_EQ(heard_.log_prob, Numbers(14));
  EXPECT_TRUE(heard_.out_of_support[4]);
  EXPECT_EQ(std::ranges::count(heard_.out_of_support, true), 1);
  std::vector<std::uint32_t> rows;
  for (const Message& message : seen_) {
    const bool first = rows.empty();
    EXPECT_EQ(message.name(), first ? "moons" : "");
    EXPECT_EQ(message.version(), first ? 2U : 0U);
    EXPECT_EQ(message.column_names_size(), first ? 1 : 0);
    rows.push_back(message.rows().rows());
  }
  EXPECT_THAT(rows, ElementsAre(3, 4, 4, 2, 1));
}

TEST_F(LogProbStreamTest, ConditionsAreCutWithTheirRows) {
  Answering();
  int given = 0;
  const auto version = server_.Connect({.request_rows = 2})
                           .LogProb(
                               {"wave"},
                               [&]() -> absl::StatusOr<RowsPiece> {
                                 if (++given > 2) return RowsPiece{};
                                 Table context = Counting(given == 1 ? 3 : 1, 1);
                                 context.column_names = {"c"};
                                 return RowsPiece{Counting(3, 1), context};
                               },
                               heard_.Sink());
  ASSERT_TRUE(version.ok()) << version.status();
  std::vector<std::vector<double>> contexts;
  for (const Message& message : seen_) {
    EXPECT_EQ(message.context_column_names_size(), contexts.empty() ? 1 : 0);
    contexts.push_back(FromMatrix(message.context())->values);
  }
  EXPECT_THAT(contexts,
              ElementsAre(ElementsAre(0, 1), ElementsAre(2), ElementsAre(0), ElementsAre(0)));
}

TEST_F(LogProbStreamTest, NoRowsAreNoTable) {
  Answering();
  EXPECT_EQ(server_.Connect().LogProb({"moons"}, Pieces({}), heard_.Sink()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(seen_.empty());
}

TEST_F(LogProbStreamTest, WhatCameBeforeASourcesErrorIsAnswered) {
  Answering();
  RowsSource two = Pieces({2, 3});
  int given = 0;
  const auto version = server_.Connect().LogProb(
      {"moons"},
      [&]() -> absl::StatusOr<RowsPiece> {
        if (++given == 3) return absl::DataLossError("the disk is gone");
        return two();
      },
      heard_.Sink());
  EXPECT_EQ(version.status(), absl::DataLossError("the disk is gone"));
  EXPECT_EQ(heard_.log_prob, Numbers(5));
}

TEST_F(LogProbStreamTest, ASinksErrorCancelsTheStreamAndComesBack) {
  Answering();
  const auto version = server_.Connect({.request_rows = 1})
                           .LogProb({"moons"}, Pieces({1, 1, 1000}), [](const auto&, const auto&) {
                             return absl::OutOfRangeError("enough");
                           });
  EXPECT_EQ(version.status(), absl::OutOfRangeError("enough"));
}

TEST_F(LogProbStreamTest, GoesOnFromTheFirstRowWithoutAnAnswer) {
  Answering([](const std::vector<Message>& seen) {
    const bool breaks = seen.size() == 3 || seen.size() == 8;
    return breaks ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining") : grpc::Status::OK;
  });
  const auto version = server_.Connect({.max_attempts = 2, .request_rows = 2})
                           .LogProb({"moons"}, Pieces({5, 5, 5}), heard_.Sink());
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(server_.calls, 3);
  EXPECT_THAT(heard_.sizes, ElementsAre(5, 5, 5));
  EXPECT_EQ(heard_.log_prob, Numbers(15));
  EXPECT_EQ(seen_[3].name(), "moons");
  EXPECT_EQ(seen_[3].version(), 3U);  // that answered first
  EXPECT_THAT(FromMatrix(seen_[3].rows())->values, ElementsAre(4));
}

TEST_F(LogProbStreamTest, GivesUpAfterMaxAttemptsWithoutAnAnswer) {
  Answering([](const std::vector<Message>& seen) {
    return seen.size() >= 2 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy")
                            : grpc::Status::OK;
  });
  const auto version = server_.Connect({.max_attempts = 3, .request_rows = 1})
                           .LogProb({"moons"}, Pieces({4}), heard_.Sink());
  EXPECT_EQ(version.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(version.status().message()), HasSubstr("busy"));
  EXPECT_EQ(server_.calls, 3);
}

TEST_F(LogProbStreamTest, HalvesWhatIsTooLarge) {
  Answering([](const std::vector<Message>& seen) {
    return seen.back().rows().rows() > 3
               ? grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too large")
               : grpc::Status::OK;
  });
  const auto version = server_.Connect().LogProb({"moons"}, Pieces({2, 12}), heard_.Sink());
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(heard_.log_prob, Numbers(14));
  Answering(
      [](const auto&) { return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too large"); });
  EXPECT_EQ(server_.Connect().LogProb({"moons"}, Pieces({2}), heard_.Sink()).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(LogProbStreamTest, CountsTheRowAtFaultOverAllStreams) {
  Answering([](const std::vector<Message>& seen) -> grpc::Status {
    if (seen.size() == 3) return {grpc::StatusCode::UNAVAILABLE, "draining"};
    return seen.size() == 5 ? BadRow(3) : grpc::Status::OK;
  });
  const auto version =
      server_.Connect({.request_rows = 2}).LogProb({"moons"}, Pieces({20}), heard_.Sink());
  EXPECT_EQ(version.status().code(), absl::StatusCode::kInvalidArgument);
  const auto detail = ErrorDetailOf(version.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->row(), 7U);  // four rows were answered before the stream that failed
}

TEST_F(LogProbStreamTest, GoesOnWhereSourceOrSinkWereTooSlowForTheServer) {
  const Client client = server_.Connect();
  for (const auto code : {grpc::StatusCode::DEADLINE_EXCEEDED, grpc::StatusCode::CANCELLED}) {
    seen_.clear();
    heard_ = {};
    const grpc::Status idle(code, "--upload_idle_timeout");
    Answering([&](const std::vector<Message>& seen) {
      return seen.size() == 2 ? idle : grpc::Status::OK;
    });
    const auto version = client.LogProb({"moons"}, Pieces({1, 1}), heard_.Sink());
    ASSERT_TRUE(version.ok()) << version.status();
    EXPECT_EQ(heard_.log_prob, Numbers(2));
    Answering([&](const auto&) { return idle; });  // that is neither's doing
    EXPECT_EQ(client.LogProb({"moons"}, Pieces({1}), heard_.Sink()).status().code(),
              static_cast<absl::StatusCode>(code));
  }
}

TEST_F(LogProbStreamTest, NoOpenStreamWaitsForTheFirstPiece) {
  Answering();
  RowsSource one = Pieces({1});
  int given = 0;
  const auto version = server_.Connect().LogProb(
      {"moons"},
      [&] {
        if (++given == 1) {
          absl::SleepFor(absl::Milliseconds(100));
          EXPECT_EQ(server_.calls, 0);
        }
        return one();
      },
      heard_.Sink());
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(heard_.log_prob, Numbers(1));
}

TEST_F(LogProbStreamTest, WaitsForAReplyNoLongerThanTheTimeout) {
  server_.stream_log_prob = [](auto& context, auto&) { return HangUntilCancelled(context); };
  const auto version = server_.Connect({.timeout = absl::Milliseconds(50)})
                           .LogProb({"moons"}, Pieces({1}), heard_.Sink());
  EXPECT_EQ(version.status().code(), absl::StatusCode::kDeadlineExceeded) << version.status();
  EXPECT_THAT(std::string(version.status().message()), HasSubstr("no reply within 50ms"));
  EXPECT_EQ(server_.calls, 1);
}

TEST_F(LogProbStreamTest, IsCancelledFromAnotherThread) {
  server_.stream_log_prob = [](auto& context, auto&) { return HangUntilCancelled(context); };
  std::stop_source stop;
  std::thread canceller([&] {
    while (server_.calls == 0) absl::SleepFor(absl::Milliseconds(1));
    stop.request_stop();
  });
  const auto version = server_.Connect().LogProb({"moons"}, Pieces({1000}), heard_.Sink(),
                                                 {.stop = stop.get_token()});
  canceller.join();
  EXPECT_EQ(version.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(LogProbStreamTest, IsCancelledWhileItRests) {
  server_.stream_log_prob = [](auto&, auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy");
  };
  const Client client(
      {.target = server_.target, .initial_backoff = absl::Hours(1), .max_backoff = absl::Hours(1)});
  std::stop_source stop;
  std::thread canceller([&] {
    while (server_.calls == 0) absl::SleepFor(absl::Milliseconds(1));
    absl::SleepFor(absl::Milliseconds(50));  // by then it rests
    stop.request_stop();
  });
  const auto version =
      client.LogProb({"moons"}, Pieces({1}), heard_.Sink(), {.stop = stop.get_token()});
  canceller.join();
  EXPECT_EQ(version.status().code(), absl::StatusCode::kCancelled) << version.status();
}

TEST_F(LogProbStreamTest, AsksTheSourceForNoMoreThanIsOnItsWay) {
  server_.stream_log_prob = [](auto& context, auto&) { return HangUntilCancelled(context); };
  int given = 0;
  const auto version = server_.Connect({.timeout = absl::Milliseconds(100)})
                           .LogProb(
                               {"moons"},
                               [&]() -> absl::StatusOr<RowsPiece> {
                                 ++given;
                                 return RowsPiece{Counting(1, 1)};
                               },
                               heard_.Sink());
  EXPECT_EQ(version.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(given, 4);
}

TEST_F(LogProbStreamTest, RepliesThatContradictTheRowsAreInternal) {
  using Spoil = std::function<void(Reply&)>;
  for (const Spoil& spoil : {Spoil([](Reply& r) { r.add_log_prob(0); }),
                             Spoil([](Reply& r) { r.clear_out_of_support(); }),
                             Spoil([](Reply& r) { r.set_first_row(7); })}) {
    server_.stream_log_prob = [&](auto&, auto& stream) {
      Message message;
      stream.Read(&message);
      Reply reply = Answer(message, 0);
      spoil(reply);
      stream.Write(reply);
      return grpc::Status::OK;
    };
    const auto version = server_.Connect().LogProb({"moons"}, Pieces({2}), heard_.Sink());
    EXPECT_EQ(version.status().code(), absl::StatusCode::kInternal) << version.status();
  }
  server_.stream_log_prob = [&](auto&, auto&) { return grpc::Status::OK; };  // an end too early
  auto version = server_.Connect().LogProb({"moons"}, Pieces({2}), heard_.Sink());
  EXPECT_EQ(version.status().code(), absl::StatusCode::kInternal) << version.status();
  server_.stream_log_prob = [&](auto&, auto& stream) {
    Message message;
    stream.Read(&message);
    for (const int first : {0, 2}) stream.Write(Answer(message, first));  // one too many
    return grpc::Status::OK;
  };
  version = server_.Connect().LogProb({"moons"}, Pieces({2}), heard_.Sink());
  EXPECT_EQ(version.status().code(), absl::StatusCode::kInternal) << version.status();
}

}  // namespace
}  // namespace millrace::client
