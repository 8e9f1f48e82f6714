// SPDX-License-Identifier: Apache-2.0
// The methods of Client that ModelService answers.
#include "client/call.h"
#include "client/client.h"

namespace millrace::client {
namespace {

std::vector<std::uint64_t> Versions(const v1::DeleteModelResponse& response) {
  return {response.versions().begin(), response.versions().end()};
}

}  // namespace

absl::StatusOr<v1::Model> Client::GetModel(const ModelRef& model, const CallOptions& call) const {
  v1::GetModelRequest request;
  request.set_name(model.name);
  request.set_version(model.version);
  auto response = Unary(*models_, &v1::ModelService::Stub::GetModel, request, options_, call);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_model());
}

absl::StatusOr<std::vector<v1::Model>> Client::ListModels(const std::string& name,
                                                          const CallOptions& call) const {
  std::vector<v1::Model> models;
  v1::ListModelsRequest request;
  request.set_name(name);
  do {
    auto page = Unary(*models_, &v1::ModelService::Stub::ListModels, request, options_, call);
    if (!page.ok()) return page.status();
    for (v1::Model& model : *page->mutable_models()) models.push_back(std::move(model));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return models;
}

absl::StatusOr<std::vector<std::uint64_t>> Client::DeleteModel(const ModelRef& model,
                                                               const CallOptions& call) const {
  v1::DeleteModelRequest request;
  request.set_name(model.name);
  request.set_version(model.version);
  const auto response =
      Unary(*models_, &v1::ModelService::Stub::DeleteModel, request, options_, call);
  if (!response.ok()) return response.status();
  return Versions(*response);
}

absl::StatusOr<std::vector<std::uint64_t>> Client::DeleteAllVersions(
    const std::string& name, const CallOptions& call) const {
  v1::DeleteModelRequest request;
  request.set_name(name);
  request.set_all_versions(true);
  const auto response =
      Unary(*models_, &v1::ModelService::Stub::DeleteModel, request, options_, call);
  if (!response.ok()) return response.status();
  return Versions(*response);
}

}  // namespace millrace::client
