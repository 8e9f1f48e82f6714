// SPDX-License-Identifier: Apache-2.0
// Train and Sample: order, contents, early ends, cancellation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "client/client.h"
#include "client/status.h"
#include "tests/client/fake_server.h"

namespace millrace::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::TrainResponse Accepted(std::uint64_t rows) {
  v1::TrainResponse response;
  response.mutable_accepted()->set_rows(rows);
  return response;
}
v1::TrainResponse Progress(std::uint32_t epoch) {
  v1::TrainResponse response;
  response.mutable_progress()->set_epoch(epoch);
  return response;
}
v1::TrainResponse Done(std::uint64_t version) {
  v1::TrainResponse response;
  response.mutable_done()->set_version(version);
  return response;
}
v1::TrainSpec Spec(const std::string& name) {
  v1::TrainSpec spec;
  spec.set_name(name);
  return spec;
}

// What the server got: the spec first, then rows.
struct Received {
  std::string name;
  std::vector<double> values;
  int chunks = 0;
  bool in_order = true;
};

Received ReadAll(FakeServer::TrainStream& stream) {
  Received received;
  v1::TrainRequest request;
  for (int i = 0; stream.Read(&request); ++i) {
    received.in_order &= request.has_spec() == (i == 0);
    if (request.has_spec()) {
      received.name = request.spec().name();
    } else {
      const Table table = *FromMatrix(request.chunk());
      received.values.insert(received.values.end(), table.values.begin(), table.values.end());
      ++received.chunks;
    }
  }
  return received;
}

TEST(Train, SendsSpecThenAllRowsThenReports) {
  FakeServer server;
  Received received;
  server.train = [&](auto&, auto& stream) {
    received = ReadAll(stream);
    stream.Write(Accepted(5));
    stream.Write(Progress(1));
    stream.Write(Progress(2));
    stream.Write(Done(9));
    return grpc::Status::OK;
  };
  std::vector<int> events;
  const auto done =
      server.Connect({.request_bytes = 2 * 2 * 8})
          .Train(Spec("moons"), Counting(5, 2), [&](const v1::TrainResponse& response) {
            events.push_back(static_cast<int>(response.event_case()));
          });
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->version(), 9u);
  EXPECT_EQ(received.name, "moons");
  EXPECT_TRUE(received.in_order);
  EXPECT_EQ(received.chunks, 3);
  EXPECT_EQ(received.values, Counting(5, 2).values);
  EXPECT_THAT(events, ElementsAre(1, 2, 2, 3));
}

TEST(Train, TakesItsRowsFromASource) {
  FakeServer server;
  Received received;
  server.train = [&](auto&, auto& stream) {
    received = ReadAll(stream);
    stream.Write(Done(1));
    return grpc::Status::OK;
  };
  int pieces = 0;
  const auto done = server.Connect().Train(Spec("moons"), [&]() -> absl::StatusOr<Table> {
    return ++pieces <= 3 ? Table{{}, 1, 1, {1.0 * pieces}} : Table{};
  });
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_THAT(received.values, ElementsAre(1, 2, 3));
}

TEST(Train, ASourcesErrorEndsItAndComesBack) {
  FakeServer server;
  server.train = [](auto&, auto& stream) {
    ReadAll(stream);
    return grpc::Status::CANCELLED;
  };
  const auto done = server.Connect().Train(Spec("moons"), []() -> absl::StatusOr<Table> {
    return absl::DataLossError("rows.csv:17: not a number");
  });
  EXPECT_EQ(done.status(), absl::DataLossError("rows.csv:17: not a number"));
}

TEST(Train, AnEarlyRefusalStopsTheUpload) {
  FakeServer server;
  server.train = [&](auto&, auto&) { return BadRow(3); };
  std::int64_t pieces = 0;
  const auto done = server.Connect().Train(Spec("Moons"), [&]() -> absl::StatusOr<Table> {
    return ++pieces < 100000 ? Counting(4096, 4) : Table{};  // 13 GB in all
  });
  EXPECT_EQ(done.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorDetailOf(done.status())->row(), 3u);
  EXPECT_LT(pieces, 10000);
}

TEST(Train, IsNotRepeated) {
  FakeServer server;
  server.train = [](auto&, auto&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "full"); };
  const auto done = server.Connect().Train(Spec("moons"), Counting(1, 1));
  EXPECT_EQ(done.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.calls, 1);
}

TEST(Train, AnEndWithoutAResultIsInternal) {
  FakeServer server;
  server.train = [](auto&, auto& stream) {
    ReadAll(stream);
    stream.Write(Accepted(1));
    return grpc::Status::OK;
  };
  const auto done = server.Connect().Train(Spec("moons"), Counting(1, 1));
  EXPECT_EQ(done.status().code(), absl::StatusCode::kInternal);
}

TEST(Train, CanBeCancelledBetweenReports) {
  FakeServer server;
  server.train = [](auto& context, auto& stream) {
    ReadAll(stream);
    stream.Write(Progress(1));
    return HangUntilCancelled(context);
  };
  std::stop_source stop;
  const auto done =
      server.Connect().Train(Spec("moons"), Counting(1, 1),
                             [&](const auto&) { stop.request_stop(); }, {.stop = stop.get_token()});
  EXPECT_EQ(done.status().code(), absl::StatusCode::kCancelled);
}

TEST(Train, HasItsOwnDeadline) {
  FakeServer server;
  server.train = [](auto& context, auto& stream) {
    ReadAll(stream);
    return HangUntilCancelled(context);
  };
  const auto done = server.Connect({.train_timeout = absl::Milliseconds(50)})
                        .Train(Spec("moons"), Counting(1, 1));
  EXPECT_EQ(done.status().code(), absl::StatusCode::kDeadlineExceeded);
}

// Sends the rows 0, 1, 2, … of one column in chunks of the given sizes.
grpc::Status SendChunks(const std::vector<int>& sizes, FakeServer::SampleStream& stream) {
  std::uint64_t first = 0;
  for (const int size : sizes) {
    v1::SampleResponse response;
    response.set_version(4);
    response.set_first_row(first);
    if (first == 0) response.add_column_names("x");
    Table table{{}, size, 1, {}};
    for (int i = 0; i < size; ++i) table.values.push_back(static_cast<double>(first + i));
    *response.mutable_rows() = ToMatrix(table, 0, size);
    if (!stream.Write(response)) break;
    first += size;
  }
  return grpc::Status::OK;
}

TEST(Sample, PutsChunksTogether) {
  FakeServer server;
  v1::SampleRequest seen;
  server.sample = [&](auto&, const auto& request, auto& stream) {
    seen = request;
    return SendChunks({1, 3, 2}, stream);
  };
  const auto result =
      server.Connect().Sample({"moons"}, {.count = 6, .seed = 11, .temperature = 0.5});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->version, 4u);
  EXPECT_THAT(result->rows.values, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(result->rows.rows, 6);
  EXPECT_THAT(result->rows.column_names, ElementsAre("x"));
  EXPECT_EQ(seen.seed(), 11u);
  EXPECT_EQ(seen.temperature(), 0.5);
}

TEST(Sample, NamesColumnsInEveryChunk) {
  FakeServer server;
  server.sample = [&](auto&, const auto&, auto& stream) { return SendChunks({2, 2}, stream); };
  int chunks = 0;
  const auto version = server.Connect().Sample({"moons"}, {.count = 4}, [&](const Table& chunk) {
    ++chunks;
    EXPECT_THAT(chunk.column_names, ElementsAre("x"));
    return absl::OkStatus();
  });
  EXPECT_EQ(*version, 4u);
  EXPECT_EQ(chunks, 2);
}

TEST(Sample, TooFewOrGapsAreInternal) {
  FakeServer server;
  server.sample = [&](auto&, const auto&, auto& stream) { return SendChunks({2, 2}, stream); };
  EXPECT_EQ(server.Connect().Sample({"moons"}, {.count = 5}).status().code(),
            absl::StatusCode::kInternal);
  server.sample = [&](auto&, const auto&, auto& stream) {
    v1::SampleResponse response;
    response.set_first_row(3);
    *response.mutable_rows() = ToMatrix(Counting(1, 1), 0, 1);
    stream.Write(response);
    return grpc::Status::OK;
  };
  const auto gap = server.Connect().Sample({"moons"}, {.count = 1});
  EXPECT_EQ(gap.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(gap.status().message()), HasSubstr("sample 3"));
}

TEST(Sample, RowsThatWereNotAskedForReachNoSink) {
  FakeServer server;
  server.sample = [&](auto&, const auto&, auto& stream) { return SendChunks({2, 2}, stream); };
  SampleOptions options{.count = 1};
  options.context = Counting(3, 1);
  std::int64_t rows = 0;
  const auto version = server.Connect().Sample({"moons"}, options, [&](const Table& chunk) {
    rows += chunk.rows;
    return absl::OkStatus();
  });
  EXPECT_EQ(version.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(version.status().message()), HasSubstr("more samples than the 3"));
  EXPECT_EQ(rows, 2);
}

TEST(Sample, ASinksErrorCancelsTheStreamAndComesBack) {
  FakeServer server;
  server.sample = [&](auto& context, const auto&, auto& stream) {
    SendChunks({1}, stream);
    return HangUntilCancelled(context);
  };
  const auto version = server.Connect().Sample({"moons"}, {.count = 2}, [](const Table&) {
    return absl::ResourceExhaustedError("disk full");
  });
  EXPECT_EQ(version.status(), absl::ResourceExhaustedError("disk full"));
}

TEST(Sample, MayLastLongerThanTheTimeoutWhileRowsCome) {
  FakeServer server;
  server.sample = [&](auto&, const auto&, auto& stream) { return SendChunks({1, 1, 1}, stream); };
  constexpr absl::Duration kTimeout = absl::Seconds(2);
  const absl::Time begin = absl::Now();
  std::uint64_t rows = 0;
  // The caller takes its time; that does not count as waiting.
  const auto version =
      server.Connect({.timeout = kTimeout}).Sample({"moons"}, {.count = 3}, [&](const Table&) {
        absl::SleepFor(++rows == 2 ? kTimeout + absl::Milliseconds(100) : absl::ZeroDuration());
        return absl::OkStatus();
      });
  EXPECT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(rows, 3u);
  EXPECT_GT(absl::Now() - begin, kTimeout);
}

TEST(Sample, WaitsForAChunkNoLongerThanTheTimeout) {
  FakeServer server;
  for (const int sent : {0, 1}) {
    server.sample = [sent](auto& context, const auto&, auto& stream) {
      if (sent > 0) SendChunks({sent}, stream);
      return HangUntilCancelled(context);
    };
    const auto result = server.Connect().Sample({"moons"}, {.count = 2},
                                                CallOptions{.timeout = absl::Milliseconds(200)});
    EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded) << result.status();
  }
}

TEST(Sample, IsRepeatedBeforeTheFirstChunkOnly) {
  FakeServer server;
  server.sample = [&](auto&, const auto&, auto& stream) {
    if (server.calls == 1) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy");
    SendChunks({1}, stream);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "broke off");
  };
  const auto result = server.Connect().Sample({"moons"}, {.count = 2});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.calls, 2);
}

}  // namespace
}  // namespace millrace::client
