// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/density_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/base/matrix.h"
#include "core/base/status_macros.h"
#include "server/app/exception_wall.h"
#include "server/app/query.h"
#include "server/rpc/call.h"
#include "server/rpc/density_batch.h"
#include "server/rpc/density_queries.h"
#include "server/rpc/fit_density_stream.h"
#include "server/rpc/latent_queries.h"
#include "server/rpc/log_prob_stream.h"
#include "server/rpc/sample_stream.h"
#include "server/rpc/train_stream.h"

namespace millrace {
namespace {

constexpr RpcMethod Unary(absl::string_view method) {
  return {"unary", "millrace.v1.DensityService", method};
}

constexpr RpcMethod kLogProb = Unary("LogProb");
constexpr RpcMethod kInterpolate = Unary("Interpolate");
constexpr RpcMethod kScore = Unary("Score");
constexpr RpcMethod kEncode = Unary("Encode");
constexpr RpcMethod kDecode = Unary("Decode");
constexpr RpcMethod kComplete = Unary("Complete");
constexpr RpcMethod kCreateAttributeVector = Unary("CreateAttributeVector");
constexpr RpcMethod kManipulate = Unary("Manipulate");

// What takes no more than this, with all that is computed with it, is done before anyone could stop
// it.
constexpr std::int64_t kShortEvaluations = 1024;
constexpr std::int64_t kShortProducts = std::int64_t{1} << 33;

// Of one block, which a backend computes without asking other threads, and few products.
bool IsBrief(const QuerySize& size, const ServedModel& model, const Config& config) {
  return !size.writes && size.evaluations <= kRowAlign &&
         size.evaluations * model.density->flow().ProductsOfRow() <= config.max_inline_products;
}

// Whether a query, with all that may be computed together with it, ends so soon that nobody needs
// to stop it.
bool IsShort(const QuerySize& size, const ServedModel& model, const Config& config) {
  const std::int64_t evaluations = std::max(size.evaluations, config.batch.max_evaluations);
  return evaluations <= kShortEvaluations &&
         evaluations * model.density->flow().ProductsOfRow() <= kShortProducts;
}

// What answers a query: alone, or together with others of its kind.
template <typename Request, typename Response>
void SetWork(const App&, const ModelHandle& model, const Request* request, Response* response,
             Query& query) {
  query.compute = [model, request, response, stop = query.stop] {
    response->set_name(model->name);
    response->set_version(model->version);
    return Answer(*request, *model, stop, response);
  };
}

template <typename Request, typename Response>
void SetBatchedWork(const Request* request, Response* response, Query& query) {
  using Part = DensityPart<Request, Response>;
  query.part = std::make_unique<Part>(request, response, query.stop);
  query.compute_together = &Part::Answer;
}

void SetWork(const App&, const ModelHandle&, const v1::LogProbRequest* request,
             v1::LogProbResponse* response, Query& query) {
  SetBatchedWork(request, response, query);
}

// Contributions take long, and are computed alone.
void SetWork(const App& app, const ModelHandle& model, const v1::ScoreRequest* request,
             v1::ScoreResponse* response, Query& query) {
  const bool none = request->contributions() == v1::CONTRIBUTIONS_NONE ||
                    request->contributions() == v1::CONTRIBUTIONS_UNSPECIFIED;
  none ? SetBatchedWork(request, response, query)
       : SetWork<v1::ScoreRequest, v1::ScoreResponse>(app, model, request, response, query);
}

void SetWork(const App& app, const ModelHandle& model,
             const v1::CreateAttributeVectorRequest* request,
             v1::CreateAttributeVectorResponse* response, Query& query) {
  query.compute = [&repository = app.repository, model, request, response, stop = query.stop] {
    return Answer(*request, *model, repository, stop, response);
  };
}

// One question, one answer: find the model, check what is cheap, compute or hand over to the queue,
// answer.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* Ask(const RpcMethod& method, Operation operation, const App& app,
                              grpc::CallbackServerContext* context, const Request* request,
                              Response* response) {
  auto* call = new UnaryCall(method, context, app);
  const absl::Status accepted = BehindExceptionWall([&]() -> absl::Status {
    MILLRACE_ASSIGN_OR_RETURN(const ModelHandle model,
                              app.repository.Get(request->name(), request->version()));
    call->call().Uses(operation, model);
    MILLRACE_ASSIGN_OR_RETURN(const QuerySize size,
                              CheckQuery(*request, *model, app.config.limits));
    const bool brief = IsBrief(size, *model, app.config);
    if (!brief && !IsShort(size, *model, app.config)) call->call().StopAtDeadline();
    Query query = {.operation = operation,
                   .model = model,
                   .rows = size.rows,
                   .cost = {.evaluations = size.evaluations,
                            .bytes = static_cast<std::int64_t>(request->ByteSizeLong())},
                   .deadline = call->call().deadline(),
                   .stop = call->call().stop().get_token(),
                   .done = [call](const absl::Status& status) { call->End(status); }};
    SetWork(app, model, request, response, query);
    brief ? app.queue.ComputeHere(std::move(query)) : app.queue.Submit(std::move(query));
    return absl::OkStatus();
  });
  if (!accepted.ok()) call->End(accepted);
  return call;
}

}  // namespace

grpc::ServerUnaryReactor* DensityService::LogProb(Context* context,
                                                  const v1::LogProbRequest* request,
                                                  v1::LogProbResponse* response) {
  return Ask(kLogProb, Operation::kLogProb, app_, context, request, response);
}

grpc::ServerBidiReactor<v1::StreamLogProbRequest, v1::StreamLogProbResponse>*
DensityService::StreamLogProb(Context* context) {
  return StartLogProbStream(app_, context, open_log_prob_streams_);
}

grpc::ServerUnaryReactor* DensityService::Interpolate(Context* context,
                                                      const v1::InterpolateRequest* request,
                                                      v1::InterpolateResponse* response) {
  return Ask(kInterpolate, Operation::kInterpolate, app_, context, request, response);
}

grpc::ServerUnaryReactor* DensityService::Score(Context* context, const v1::ScoreRequest* request,
                                                v1::ScoreResponse* response) {
  return Ask(kScore, Operation::kScore, app_, context, request, response);
}

grpc::ServerUnaryReactor* DensityService::Encode(Context* context, const v1::EncodeRequest* request,
                                                 v1::EncodeResponse* response) {
  return Ask(kEncode, Operation::kEncode, app_, context, request, response);
}

grpc::ServerUnaryReactor* DensityService::Decode(Context* context, const v1::DecodeRequest* request,
                                                 v1::DecodeResponse* response) {
  return Ask(kDecode, Operation::kDecode, app_, context, request, response);
}

grpc::ServerUnaryReactor* DensityService::Complete(Context* context,
                                                   const v1::CompleteRequest* request,
                                                   v1::CompleteResponse* response) {
  return Ask(kComplete, Operation::kComplete, app_, context, request, response);
}

grpc::ServerUnaryReactor* DensityService::CreateAttributeVector(
    Context* context, const v1::CreateAttributeVectorRequest* request,
    v1::CreateAttributeVectorResponse* response) {
  return Ask(kCreateAttributeVector, Operation::kCreateAttributeVector, app_, context, request,
             response);
}

grpc::ServerUnaryReactor* DensityService::Manipulate(Context* context,
                                                     const v1::ManipulateRequest* request,
                                                     v1::ManipulateResponse* response) {
  return Ask(kManipulate, Operation::kManipulate, app_, context, request, response);
}

grpc::ServerWriteReactor<v1::SampleResponse>* DensityService::Sample(
    Context* context, const v1::SampleRequest* request) {
  return StartSampleStream(app_, context, *request, open_samples_);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* DensityService::Train(
    Context* context) {
  return StartTrainStream(app_, context);
}

grpc::ServerBidiReactor<v1::FitDensityRequest, v1::FitDensityResponse>* DensityService::FitDensity(
    Context* context) {
  return StartFitDensityStream(app_, context);
}

}  // namespace millrace
