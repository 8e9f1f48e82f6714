// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SERVER_RPC_MODEL_SERVICE_H_
#define MILLRACE_SERVER_RPC_MODEL_SERVICE_H_

#include "millrace/v1/model_service.grpc.pb.h"
#include "server/app/app.h"

namespace millrace {

// ModelService of proto/millrace/v1. Thread-safe. `app` outlives the service and all its calls.
class ModelService final : public v1::ModelService::CallbackService {
 public:
  explicit ModelService(const App& app) : app_(app) {}

 private:
  using Context = grpc::CallbackServerContext;

  grpc::ServerUnaryReactor* GetModel(Context* context, const v1::GetModelRequest* request,
                                     v1::GetModelResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(Context* context, const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteModel(Context* context, const v1::DeleteModelRequest* request,
                                        v1::DeleteModelResponse* response) override;

  const App app_;
};

}  // namespace millrace

#endif  // MILLRACE_SERVER_RPC_MODEL_SERVICE_H_
