// SPDX-License-Identifier: Apache-2.0
// A gRPC server on loopback whose answers a test decides.
#ifndef MILLRACE_TESTS_CLIENT_FAKE_SERVER_H_
#define MILLRACE_TESTS_CLIENT_FAKE_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "client/wire.h"
#include "millrace/v1/density_service.grpc.pb.h"
#include "millrace/v1/error.pb.h"
#include "millrace/v1/model_service.grpc.pb.h"

namespace millrace::client {

// Every method counts itself in `calls` and then runs its hook, or answers UNIMPLEMENTED without
// one.
struct FakeServer final : v1::DensityService::Service, v1::ModelService::Service {
  using Context = grpc::ServerContext;
  template <typename Request, typename Response>
  using Hook = std::function<grpc::Status(Context&, const Request&, Response&)>;
  using TrainStream = grpc::ServerReaderWriter<v1::TrainResponse, v1::TrainRequest>;
  using FitStream = grpc::ServerReaderWriter<v1::FitDensityResponse, v1::FitDensityRequest>;
  using SampleStream = grpc::ServerWriter<v1::SampleResponse>;
  using LogProbStream =
      grpc::ServerReaderWriter<v1::StreamLogProbResponse, v1::StreamLogProbRequest>;

  std::atomic<int> calls = 0;
  Hook<v1::LogProbRequest, v1::LogProbResponse> log_prob;
  Hook<v1::ScoreRequest, v1::ScoreResponse> score;
  Hook<v1::EncodeRequest, v1::EncodeResponse> encode;
  Hook<v1::DecodeRequest, v1::DecodeResponse> decode;
  Hook<v1::InterpolateRequest, v1::InterpolateResponse> interpolate;
  Hook<v1::CompleteRequest, v1::CompleteResponse> complete;
  Hook<v1::CreateAttributeVectorRequest, v1::CreateAttributeVectorResponse> create_attribute_vector;
  Hook<v1::ManipulateRequest, v1::ManipulateResponse> manipulate;
  Hook<v1::GetModelRequest, v1::GetModelResponse> get_model;
  Hook<v1::ListModelsRequest, v1::ListModelsResponse> list_models;
  Hook<v1::DeleteModelRequest, v1::DeleteModelResponse> delete_model;
  std::function<grpc::Status(Context&, TrainStream&)> train;
  std::function<grpc::Status(Context&, FitStream&)> fit_density;
  std::function<grpc::Status(Context&, const v1::SampleRequest&, SampleStream&)> sample;

  // Without it StreamLogProb asks log_prob about each message, the first one's model and columns
  // given; each counts as a call.
  std::function<grpc::Status(Context&, LogProbStream&)> stream_log_prob;

  FakeServer() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(static_cast<v1::DensityService::Service*>(this));
    builder.RegisterService(static_cast<v1::ModelService::Service*>(this));
    builder.SetMaxReceiveMessageSize(-1);
    server_ = builder.BuildAndStart();
    target = absl::StrCat("127.0.0.1:", port);
  }
  ~FakeServer() override { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string target;

  // A client with waits short enough for a test.
  Client Connect(ClientOptions options = {}) const {
    options.target = target;
    options.initial_backoff = absl::Milliseconds(5);
    options.max_backoff = absl::Milliseconds(20);
    return Client(options);
  }

 private:
  template <typename Function, typename... Arguments>
  grpc::Status Run(const Function& hook, Arguments&... arguments) {
    ++calls;
    if (!hook) return {grpc::StatusCode::UNIMPLEMENTED, "no hook"};
    return hook(arguments...);
  }

  grpc::Status LogProb(Context* c, const v1::LogProbRequest* q, v1::LogProbResponse* r) override {
    return Run(log_prob, *c, *q, *r);
  }
  grpc::Status Score(Context* c, const v1::ScoreRequest* q, v1::ScoreResponse* r) override {
    return Run(score, *c, *q, *r);
  }
  grpc::Status Encode(Context* c, const v1::EncodeRequest* q, v1::EncodeResponse* r) override {
    return Run(encode, *c, *q, *r);
  }
  grpc::Status Decode(Context* c, const v1::DecodeRequest* q, v1::DecodeResponse* r) override {
    return Run(decode, *c, *q, *r);
  }
  grpc::Status Interpolate(Context* c, const v1::InterpolateRequest* q,
                           v1::InterpolateResponse* r) override {
    return Run(interpolate, *c, *q, *r);
  }
  grpc::Status Complete(Context* c, const v1::CompleteRequest* q,
                        v1::CompleteResponse* r) override {
    return Run(complete, *c, *q, *r);
  }
  grpc::Status CreateAttributeVector(Context* c, const v1::CreateAttributeVectorRequest* q,
                                     v1::CreateAttributeVectorResponse* r) override {
    return Run(create_attribute_vector, *c, *q, *r);
  }
  grpc::Status Manipulate(Context* c, const v1::ManipulateRequest* q,
                          v1::ManipulateResponse* r) override {
    return Run(manipulate, *c, *q, *r);
  }
  grpc::Status GetModel(Context* c, const v1::GetModelRequest* q,
                        v1::GetModelResponse* r) override {
    return Run(get_model, *c, *q, *r);
  }
  grpc::Status ListModels(Context* c, const v1::ListModelsRequest* q,
                          v1::ListModelsResponse* r) override {
    return Run(list_models, *c, *q, *r);
  }
  grpc::Status DeleteModel(Context* c, const v1::DeleteModelRequest* q,
                           v1::DeleteModelResponse* r) override {
    return Run(delete_model, *c, *q, *r);
  }
  grpc::Status Train(Context* c, TrainStream* s) override { return Run(train, *c, *s); }
  grpc::Status FitDensity(Context* c, FitStream* s) override { return Run(fit_density, *c, *s); }
  grpc::Status Sample(Context* c, const v1::SampleRequest* q, SampleStream* s) override {
    return Run(sample, *c, *q, *s);
  }

  grpc::Status StreamLogProb(Context* c, LogProbStream* s) override {
    if (stream_log_prob) return Run(stream_log_prob, *c, *s);
    v1::StreamLogProbRequest message;
    v1::LogProbRequest request;
    for (std::uint64_t first_row = 0; s->Read(&message); first_row += request.rows().rows()) {
      if (first_row == 0) {
        request.set_name(message.name());
        request.set_version(message.version());
        *request.mutable_column_names() = message.column_names();
        *request.mutable_context_column_names() = message.context_column_names();
      }
      *request.mutable_rows() = message.rows();
      request.clear_context();
      if (message.has_context()) *request.mutable_context() = message.context();
      v1::LogProbResponse answer;
      const grpc::Status status = Run(log_prob, *c, request, answer);
      if (!status.ok()) return status;
      v1::StreamLogProbResponse reply;
      reply.set_version(answer.version());
      reply.set_first_row(first_row);
      *reply.mutable_log_prob() = answer.log_prob();
      *reply.mutable_out_of_support() = answer.out_of_support();
      s->Write(reply);
    }
    return grpc::Status::OK;
  }

  std::unique_ptr<grpc::Server> server_;
};

// Waits until the caller gives up; the answer no longer matters then.
inline grpc::Status HangUntilCancelled(grpc::ServerContext& context) {
  while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
  return grpc::Status::CANCELLED;
}

// An error as the server makes them, about one row.
inline grpc::Status BadRow(std::uint64_t row, const std::string& field = "rows") {
  v1::ErrorStatus status;
  v1::ErrorDetail detail;
  detail.set_field(field);
  detail.set_row(row);
  detail.set_column(1);
  detail.set_value("nan");
  detail.set_expected("a finite number");
  status.add_details()->PackFrom(detail);
  return {grpc::StatusCode::INVALID_ARGUMENT, absl::StrCat("row ", row, " is nan"),
          status.SerializeAsString()};
}

// A table with elements 0, 1, 2, …
inline Table Counting(std::int64_t rows, int cols) {
  Table table{{}, rows, cols, {}};
  for (std::int64_t i = 0; i < rows * cols; ++i) table.values.push_back(static_cast<double>(i));
  return table;
}

}  // namespace millrace::client

#endif  // MILLRACE_TESTS_CLIENT_FAKE_SERVER_H_
