// SPDX-License-Identifier: Apache-2.0
// The standard services beside ours: health and reflection. Called by their bytes, since Debian has
// no C++ stubs for them.

#include <chrono>
#include <string>
#include <thread>

#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

// One message in, one message out.
grpc::Status Call(InProcessServer& server, const std::string& method, const std::string& request,
                  std::string* response) {
  grpc::GenericStub stub(server.channel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice slice(request);
  const auto call = stub.PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  grpc::Slice bytes;
  if (status.ok() && answer.TrySingleSlice(&bytes).ok()) {
    response->assign(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  }
  return status;
}

enum : char { kServing = 1, kNotServing = 2 };

// HealthCheckRequest {string service = 1}, HealthCheckResponse {ServingStatus status = 1}.
int Health(InProcessServer& server, const std::string& service) {
  const std::string request =
      service.empty() ? "" : std::string("\x0a") + static_cast<char>(service.size()) + service;
  std::string response;
  const grpc::Status status = Call(server, "/grpc.health.v1.Health/Check", request, &response);
  if (!status.ok()) return -status.error_code();
  return response.size() == 2 && response[0] == 0x08 ? response[1] : 0;
}

TEST(Health, KnowsTheServerAndItsServices) {
  InProcessServer server;
  EXPECT_EQ(Health(server, ""), kServing);
  EXPECT_EQ(Health(server, "millrace.v1.DensityService"), kServing);
  EXPECT_EQ(Health(server, "millrace.v1.ModelService"), kServing);
  EXPECT_EQ(Health(server, "no.such.Service"), -grpc::StatusCode::NOT_FOUND);
}

TEST(Health, SaysNotServingFromTheStartOfTheDrain) {
  InProcessServer server([](Config& config) { config.drain_delay = absl::Milliseconds(500); });
  std::thread stop([&] { server.server().Stop(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_EQ(Health(server, ""), kNotServing);
  EXPECT_EQ(Health(server, "millrace.v1.DensityService"), kNotServing);
  stop.join();
}

TEST(Reflection, ListsTheServices) {
  InProcessServer server;
  std::string response;
  // ServerReflectionRequest {string list_services = 7}
  const grpc::Status status =
      Call(server, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*",
           &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_NE(response.find("millrace.v1.DensityService"), std::string::npos);
  EXPECT_NE(response.find("millrace.v1.ModelService"), std::string::npos);
  EXPECT_NE(response.find("grpc.health.v1.Health"), std::string::npos);
}

}  // namespace
}  // namespace millrace
