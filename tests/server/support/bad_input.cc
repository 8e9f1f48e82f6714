// SPDX-License-Identifier: Apache-2.0
#include "tests/server/support/bad_input.h"

#include "gtest/gtest.h"

namespace millrace {

grpc::Status LogProb(InProcessServer& server, const Spoil<v1::LogProbRequest>& spoil) {
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(3);
  spoil(request);
  grpc::ClientContext context;
  v1::LogProbResponse response;
  return server.density().LogProb(&context, request, &response);
}

grpc::Status Score(InProcessServer& server, const Spoil<v1::ScoreRequest>& spoil) {
  v1::ScoreRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(3);
  spoil(request);
  grpc::ClientContext context;
  v1::ScoreResponse response;
  return server.density().Score(&context, request, &response);
}

grpc::Status Interpolate(InProcessServer& server, const Spoil<v1::InterpolateRequest>& spoil) {
  v1::InterpolateRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(2);
  request.set_steps(5);
  spoil(request);
  grpc::ClientContext context;
  v1::InterpolateResponse response;
  return server.density().Interpolate(&context, request, &response);
}

grpc::Status Encode(InProcessServer& server, const Spoil<v1::EncodeRequest>& spoil) {
  v1::EncodeRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(3);
  spoil(request);
  grpc::ClientContext context;
  v1::EncodeResponse response;
  return server.density().Encode(&context, request, &response);
}

grpc::Status Decode(InProcessServer& server, const Spoil<v1::DecodeRequest>& spoil) {
  v1::DecodeRequest request;
  request.set_name("small");
  *request.mutable_latents() = MakeMatrix(1, 3, {0, 0, 0});
  spoil(request);
  grpc::ClientContext context;
  v1::DecodeResponse response;
  return server.density().Decode(&context, request, &response);
}

grpc::Status Sample(InProcessServer& server, const Spoil<v1::SampleRequest>& spoil) {
  v1::SampleRequest request;
  request.set_name("small");
  request.set_count(3);
  spoil(request);
  grpc::ClientContext context;
  const auto stream = server.density().Sample(&context, request);
  v1::SampleResponse chunk;
  while (stream->Read(&chunk)) {
  }
  return stream->Finish();
}

grpc::Status Get(InProcessServer& server, const std::string& name, std::uint64_t version) {
  v1::GetModelRequest request;
  request.set_name(name);
  request.set_version(version);
  grpc::ClientContext context;
  v1::GetModelResponse response;
  return server.models().GetModel(&context, request, &response);
}

namespace {

void ExpectGoodCallsWork(InProcessServer& server) {
  EXPECT_TRUE(LogProb(server, [](auto&) {}).ok());
  EXPECT_TRUE(Score(server, [](auto&) {}).ok());
  EXPECT_TRUE(Interpolate(server, [](auto&) {}).ok());
  EXPECT_TRUE(Encode(server, [](auto&) {}).ok());
  EXPECT_TRUE(Decode(server, [](auto&) {}).ok());
  EXPECT_TRUE(Sample(server, [](auto&) {}).ok());
}

}  // namespace

void ExpectRefused(const std::vector<BadCall>& calls, const std::function<void(Config&)>& adjust) {
  InProcessServer server(adjust);
  ExpectGoodCallsWork(server);
  for (const BadCall& test : calls) {
    SCOPED_TRACE(test.what);
    const grpc::Status status = test.call(server);
    EXPECT_EQ(status.error_code(), test.code) << status.error_message();
    EXPECT_FALSE(status.error_message().empty());
    if (!test.field.empty()) {
      EXPECT_EQ(DetailOf(status).field(), test.field) << status.error_message();
    }
    EXPECT_TRUE(LogProb(server, [](auto&) {}).ok());
  }
  ExpectGoodCallsWork(server);
  EXPECT_EQ(Get(server, "bad", 0).error_code(),
            grpc::StatusCode::NOT_FOUND);  // nothing was published
}

}  // namespace millrace
