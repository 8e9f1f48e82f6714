// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/model_service.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status_macros.h"
#include "server/app/exception_wall.h"
#include "server/app/log.h"
#include "server/app/model_name.h"
#include "server/app/page_token.h"
#include "server/rpc/call.h"
#include "server/rpc/model_message.h"

namespace millrace {
namespace {

constexpr RpcMethod Unary(absl::string_view method) {
  return {"unary", "millrace.v1.ModelService", method};
}

constexpr RpcMethod kGetModel = Unary("GetModel");
constexpr RpcMethod kListModels = Unary("ListModels");
constexpr RpcMethod kDeleteModel = Unary("DeleteModel");

// As much of the page as fits a message, and a chunk of about the size that Sample sends; at least
// one model. The next page begins after it.
void WritePage(ModelRepository::Page page, const std::string& name, const Limits& limits,
               v1::ListModelsResponse* response) {
  constexpr std::int64_t kPageBytes = 1 << 20;
  constexpr std::int64_t kTokenBytes = 512;  // more than a token takes
  constexpr std::int64_t kFrameBytes = 8;    // more than a model's tag and length take
  std::int64_t room = std::min(kPageBytes, limits.max_message_bytes) - kTokenBytes;
  for (const ModelHandle& model : page.models) {
    v1::Model message;
    WriteModel(*model, &message);
    for (v1::AttributeVector& attribute : *message.mutable_attributes()) attribute.clear_vector();
    room -= static_cast<std::int64_t>(message.ByteSizeLong()) + kFrameBytes;
    if (room < 0 && response->models_size() > 0) {
      const v1::Model& end = *response->models().rbegin();
      page.next_token = EncodePageToken(name, {end.name(), end.version()});
      break;
    }
    *response->add_models() = std::move(message);
  }
  response->set_next_page_token(std::move(page.next_token));
}

absl::Status CheckDelete(const v1::DeleteModelRequest& request) {
  MILLRACE_RETURN_IF_ERROR(CheckModelName(request.name()));
  if (request.all_versions() == (request.version() == 0)) return absl::OkStatus();
  return InvalidArgument("version", absl::StrCat(request.version()),
                         "either a version or all_versions, and not both");
}

absl::Status Delete(ModelRepository& repository, const v1::DeleteModelRequest& request,
                    v1::DeleteModelResponse* response) {
  const std::optional<std::uint64_t> version =
      request.all_versions() ? std::nullopt : std::optional(request.version());
  MILLRACE_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> deleted,
                            repository.Delete(request.name(), version));
  response->set_name(request.name());
  response->mutable_versions()->Assign(deleted.begin(), deleted.end());
  for (const std::uint64_t number : deleted) {
    Log(LogLevel::kInfo, "model deleted", {{"model", request.name()}, {"version", number}});
  }
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* ModelService::GetModel(Context* context,
                                                 const v1::GetModelRequest* request,
                                                 v1::GetModelResponse* response) {
  auto* call = new UnaryCall(kGetModel, context, app_);
  call->End(BehindExceptionWall([&]() -> absl::Status {
    MILLRACE_ASSIGN_OR_RETURN(const ModelHandle model,
                              app_.repository.Describe(request->name(), request->version()));
    WriteModel(*model, response->mutable_model());
    return absl::OkStatus();
  }));
  return call;
}

grpc::ServerUnaryReactor* ModelService::ListModels(Context* context,
                                                   const v1::ListModelsRequest* request,
                                                   v1::ListModelsResponse* response) {
  auto* call = new UnaryCall(kListModels, context, app_);
  call->End(BehindExceptionWall([&]() -> absl::Status {
    MILLRACE_ASSIGN_OR_RETURN(
        ModelRepository::Page page,
        app_.repository.List(request->name(), request->page_size(), request->page_token()));
    WritePage(std::move(page), request->name(), app_.config.limits, response);
    return absl::OkStatus();
  }));
  return call;
}

// Waits for the disk, so it goes through the queue.
grpc::ServerUnaryReactor* ModelService::DeleteModel(Context* context,
                                                    const v1::DeleteModelRequest* request,
                                                    v1::DeleteModelResponse* response) {
  auto* call = new UnaryCall(kDeleteModel, context, app_);
  const absl::Status accepted = BehindExceptionWall([&]() -> absl::Status {
    MILLRACE_RETURN_IF_ERROR(CheckDelete(*request));
    app_.queue.Submit(
        {.deadline = call->call().deadline(),
         .stop = call->call().stop().get_token(),
         .compute = [this, request,
                     response] { return Delete(app_.repository, *request, response); },
         .done = [call](const absl::Status& status) { call->End(status); }});
    return absl::OkStatus();
  });
  if (!accepted.ok()) call->End(accepted);
  return call;
}

}  // namespace millrace
