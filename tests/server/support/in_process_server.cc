// SPDX-License-Identifier: Apache-2.0
#include "tests/server/support/in_process_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/cpu/cpu_backend.h"
#include "core/io/model_file.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "tests/server/support/small_model.h"

namespace millrace {
namespace {

Config TestConfig(const std::string& model_dir) {
  Config config;
  config.address = "127.0.0.1:0";
  config.metrics_address = "";
  config.model_dir = model_dir;
  config.max_inline_products = 0;
  config.limits = {.max_message_bytes = 1 << 20,
                   .max_request_rows = 1000,
                   .max_request_evaluations = 1'000'000,
                   .max_columns = 8,
                   .max_sample_rows = 5000,
                   .max_train_rows = 2000,
                   .max_train_bytes = 32'000};
  config.shutdown_grace = absl::Seconds(2);
  return config;
}

}  // namespace

InProcessServer::InProcessServer(const std::function<void(Config&)>& adjust,
                                 std::unique_ptr<Backend> backend)
    : backend_(backend != nullptr ? std::move(backend) : CreateCpuBackend({.threads = 2})) {
  std::filesystem::create_directories(folder_.path() + "/small/1");
  EXPECT_TRUE(SaveModel(SmallModel(), folder_.path() + "/small/1/model.safetensors").ok());
  Config config = TestConfig(folder_.path());
  adjust(config);
  auto server = Server::Start(config, *backend_, {"0.0.0", "abacus"});
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    std::abort();
  }
  server_ = *std::move(server);
  channel_ = NewChannel();
  density_ = v1::DensityService::NewStub(channel_);
  models_ = v1::ModelService::NewStub(channel_);
}

std::shared_ptr<grpc::Channel> InProcessServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server_->port()),
                                   grpc::InsecureChannelCredentials(), arguments);
}

std::string InProcessServer::Metrics() const {
  const int connection = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(server_->metrics_port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
    EXPECT_EQ(::send(connection, request.data(), request.size(), 0),
              static_cast<ssize_t>(request.size()));
    char buffer[4096];
    for (ssize_t n; (n = ::recv(connection, buffer, sizeof(buffer), 0)) > 0;)
      answer.append(buffer, n);
  }
  ::close(connection);
  return answer;
}

v1::Matrix MakeMatrix(std::uint32_t rows, std::uint32_t cols, const std::vector<double>& values) {
  v1::Matrix matrix;
  matrix.set_rows(rows);
  matrix.set_cols(cols);
  matrix.set_raw_f64_le(values.data(), values.size() * sizeof(double));
  return matrix;
}

v1::Matrix SmallRows(std::uint32_t rows) {
  std::vector<double> values;
  for (std::uint32_t r = 0; r < rows; ++r) {
    values.insert(values.end(),
                  {std::sin(r), 10.0 + std::cos(r), 7.0, 0.5 + 0.4 * std::sin(3.0 * r)});
  }
  return MakeMatrix(rows, 4, values);
}

grpc::Status LogProb(InProcessServer& server, std::chrono::system_clock::time_point deadline) {
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(1);
  v1::LogProbResponse response;
  grpc::ClientContext context;
  if (deadline != std::chrono::system_clock::time_point::max()) context.set_deadline(deadline);
  return server.density().LogProb(&context, request, &response);
}

bool AnswersSoon(InProcessServer& server) {
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(30);
  while (true) {
    const grpc::Status status = LogProb(server, deadline);
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return status.ok();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

v1::ScoreRequest EndlessRequest() {
  v1::ScoreRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(16'000);
  request.set_contributions(v1::CONTRIBUTIONS_CONDITIONAL);
  return request;
}

void AllowEndless(Config& config) {
  config.limits.max_request_rows = 100'000;
  config.limits.max_request_evaluations = 1'000'000'000;
}

v1::ErrorDetail DetailOf(const grpc::Status& status) {
  v1::ErrorStatus error;
  v1::ErrorDetail detail;
  EXPECT_TRUE(error.ParseFromString(status.error_details()));
  EXPECT_EQ(error.code(), status.error_code());
  EXPECT_EQ(error.message(), status.error_message());
  if (error.details_size() == 1) {
    EXPECT_TRUE(error.details(0).UnpackTo(&detail));
  }
  return detail;
}

v1::TrainSpec QuickSpec(const std::string& name) {
  v1::TrainSpec spec;
  spec.set_name(name);
  spec.mutable_flow()->mutable_stack()->set_layers(1);
  spec.mutable_flow()->mutable_stack()->add_hidden_sizes(4);
  spec.mutable_options()->set_max_epochs(2);
  return spec;
}

v1::Matrix QuickTable(std::uint32_t rows) {
  std::vector<double> values;
  for (std::uint32_t r = 0; r < rows; ++r) {
    values.insert(values.end(), {std::sin(r * 1.7), std::cos(r * 0.9) + 0.1 * std::sin(r * 5.3)});
  }
  return MakeMatrix(rows, 2, values);
}

std::vector<v1::TrainRequest> TrainMessages(const v1::TrainSpec& spec,
                                            const std::vector<v1::Matrix>& chunks) {
  std::vector<v1::TrainRequest> messages(1 + chunks.size());
  *messages[0].mutable_spec() = spec;
  for (std::size_t i = 0; i < chunks.size(); ++i) *messages[i + 1].mutable_chunk() = chunks[i];
  return messages;
}

grpc::Status Train(v1::DensityService::Stub& stub, const std::vector<v1::TrainRequest>& messages,
                   std::vector<v1::TrainResponse>* events) {
  grpc::ClientContext context;
  const auto stream = stub.Train(&context);
  for (const v1::TrainRequest& message : messages) {
    if (!stream->Write(message)) break;
  }
  stream->WritesDone();
  v1::TrainResponse event;
  while (stream->Read(&event)) {
    if (events != nullptr) events->push_back(event);
  }
  return stream->Finish();
}

}  // namespace millrace
