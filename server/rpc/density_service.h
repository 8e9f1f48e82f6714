// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_RPC_DENSITY_SERVICE_H_
#define MILLRACE_SERVER_RPC_DENSITY_SERVICE_H_

#include <atomic>

#include "millrace/v1/density_service.grpc.pb.h"
#include "server/app/app.h"

namespace millrace {

// The methods as gRPC's callback API has them, but that Train gets its messages as bytes; see
// StartTrainStream.
using DensityCallbackService =
    v1::DensityService::WithRawCallbackMethod_Train<v1::DensityService::WithCallbackMethod_LogProb<
        v1::DensityService::WithCallbackMethod_StreamLogProb<
            v1::DensityService::WithCallbackMethod_Sample<
                v1::DensityService::WithCallbackMethod_Interpolate<
                    v1::DensityService::WithCallbackMethod_Score<
                        v1::DensityService::WithCallbackMethod_Encode<
                            v1::DensityService::WithCallbackMethod_Decode<
                                v1::DensityService::WithCallbackMethod_FitDensity<
                                    v1::DensityService::WithCallbackMethod_Complete<
                                        v1::DensityService::
                                            WithCallbackMethod_CreateAttributeVector<
                                                v1::DensityService::WithCallbackMethod_Manipulate<
                                                    v1::DensityService::Service>>>>>>>>>>>>;

// DensityService of proto/millrace/v1. Thread-safe. `app` outlives the service and all its calls.
class DensityService final : public DensityCallbackService {
 public:
  explicit DensityService(const App& app) : app_(app) {}

 private:
  using Context = grpc::CallbackServerContext;

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Train(Context* context) override;
  grpc::ServerBidiReactor<v1::FitDensityRequest, v1::FitDensityResponse>* FitDensity(
      Context* context) override;
  grpc::ServerUnaryReactor* LogProb(Context* context, const v1::LogProbRequest* request,
                                    v1::LogProbResponse* response) override;
  grpc::ServerBidiReactor<v1::StreamLogProbRequest, v1::StreamLogProbResponse>* StreamLogProb(
      Context* context) override;
  grpc::ServerWriteReactor<v1::SampleResponse>* Sample(Context* context,
                                                       const v1::SampleRequest* request) override;
  grpc::ServerUnaryReactor* Interpolate(Context* context, const v1::InterpolateRequest* request,
                                        v1::InterpolateResponse* response) override;
  grpc::ServerUnaryReactor* Score(Context* context, const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override;
  grpc::ServerUnaryReactor* Encode(Context* context, const v1::EncodeRequest* request,
                                   v1::EncodeResponse* response) override;
  grpc::ServerUnaryReactor* Decode(Context* context, const v1::DecodeRequest* request,
                                   v1::DecodeResponse* response) override;
  grpc::ServerUnaryReactor* Complete(Context* context, const v1::CompleteRequest* request,
                                     v1::CompleteResponse* response) override;
  grpc::ServerUnaryReactor* CreateAttributeVector(
      Context* context, const v1::CreateAttributeVectorRequest* request,
      v1::CreateAttributeVectorResponse* response) override;
  grpc::ServerUnaryReactor* Manipulate(Context* context, const v1::ManipulateRequest* request,
                                       v1::ManipulateResponse* response) override;

  const App app_;
  std::atomic<int> open_samples_{0};           // Sample calls that hold memory
  std::atomic<int> open_log_prob_streams_{0};  // StreamLogProb calls that do
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_DENSITY_SERVICE_H_
