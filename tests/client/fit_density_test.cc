// SPDX-License-Identifier: Apache-2.0
// Client::FitDensity against a server that a test decides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/client/fake_server.h"

namespace millrace::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::FitDensityResponse Points(std::uint64_t id, const Table& rows) {
  v1::FitDensityResponse event;
  event.mutable_points()->set_id(id);
  *event.mutable_points()->mutable_rows() = ToMatrix(rows, 0, rows.rows);
  return event;
}

// The spec, then points twice, then the end; what was answered.
struct Script {
  v1::FitDensitySpec spec;
  std::vector<v1::DensityValues> answers;

  grpc::Status operator()(FakeServer::Context&, FakeServer::FitStream& stream) {
    v1::FitDensityRequest request;
    if (!stream.Read(&request)) return grpc::Status::CANCELLED;
    spec = request.spec();
    v1::FitDensityResponse event;
    event.mutable_accepted()->set_name(spec.name());
    stream.Write(event);
    for (const std::uint64_t id : {7, 8}) {
      stream.Write(Points(id, Counting(3, 2)));
      if (!stream.Read(&request)) return grpc::Status::CANCELLED;
      answers.push_back(request.values());
    }
    event.mutable_done()->set_version(5);
    stream.Write(event);
    return grpc::Status::OK;
  }
};

v1::FitDensitySpec SpecOf(const std::string& name) {
  v1::FitDensitySpec spec;
  spec.set_name(name);
  return spec;
}

absl::StatusOr<DensityValues> SumOfRow(const Table& points) {
  DensityValues values;
  values.gradient = points;
  for (std::int64_t r = 0; r < points.rows; ++r)
    values.log_density.push_back(points(r, 0) + points(r, 1));
  return values;
}

TEST(FitDensity, AnswersPointsAndReportsEvents) {
  FakeServer server;
  Script script;
  server.fit_density = std::ref(script);
  std::vector<int> events;
  const auto done = server.Connect().FitDensity(
      SpecOf("mine"), SumOfRow,
      [&](const v1::TrainResponse& event) { events.push_back(event.event_case()); });
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->version(), 5U);
  EXPECT_TRUE(script.spec.has_client());
  ASSERT_EQ(script.answers.size(), 2U);
  EXPECT_EQ(script.answers[1].id(), 8U);
  EXPECT_THAT(script.answers[1].log_density(), ElementsAre(1.0, 5.0, 9.0));
  EXPECT_EQ((*FromMatrix(script.answers[1].gradient()))(2, 1), 5.0);
  EXPECT_THAT(events, ElementsAre(v1::TrainResponse::kAccepted, v1::TrainResponse::kDone));
}

TEST(FitDensity, EndsWithTheFunctionsError) {
  FakeServer server;
  Script script;
  server.fit_density = std::ref(script);
  const auto fails = [](const Table&) -> absl::StatusOr<DensityValues> {
    return absl::DataLossError("no more");
  };
  EXPECT_EQ(server.Connect().FitDensity(SpecOf("mine"), fails).status(),
            absl::DataLossError("no more"));
  const auto too_few = [](const Table& points) {
    absl::StatusOr<DensityValues> values = SumOfRow(points);
    values->log_density.pop_back();
    return values;
  };
  const absl::Status status = server.Connect().FitDensity(SpecOf("mine"), too_few).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("2 values"));
}

TEST(FitDensity, GivesTheServersErrorAndLeavesOtherTargetsAlone) {
  FakeServer server;
  server.fit_density = [](FakeServer::Context&, FakeServer::FitStream& stream) {
    v1::FitDensityRequest request;
    stream.Read(&request);
    EXPECT_TRUE(request.spec().has_teacher());
    return BadRow(3);
  };
  v1::FitDensitySpec spec = SpecOf("student");
  spec.mutable_teacher()->set_name("teacher");
  const absl::Status status = server.Connect().FitDensity(spec).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("row 3"));
}

}  // namespace
}  // namespace millrace::client
