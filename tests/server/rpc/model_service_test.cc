// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <string>
#include <vector>

#include "core/io/model_file.h"
#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"
#include "tests/server/support/small_model.h"

namespace millrace {
namespace {

using grpc::StatusCode;

v1::Model Get(InProcessServer& server, const std::string& name, std::uint64_t version) {
  v1::GetModelRequest request;
  request.set_name(name);
  request.set_version(version);
  v1::GetModelResponse response;
  grpc::ClientContext context;
  const grpc::Status status = server.models().GetModel(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.model();
}

void PutFile(Config& config, const std::string& path, const std::string& bytes) {
  WriteText(config.model_dir + "/" + path, bytes);
}

TEST(ModelService, DescribesAModel) {
  InProcessServer server;
  const v1::Model model = Get(server, "small", 0);
  EXPECT_EQ(model.name(), "small");
  EXPECT_EQ(model.version(), 1U);
  EXPECT_EQ(model.state(), v1::MODEL_STATE_ACTIVE);
  EXPECT_EQ(model.create_time().seconds(), 1'700'000'000);
  ASSERT_EQ(model.columns_size(), 4);
  EXPECT_EQ(model.columns(1).spec().name(), "y");
  EXPECT_EQ(model.columns(1).spec().type(), v1::COLUMN_TYPE_CONTINUOUS);
  EXPECT_EQ(model.columns(1).mean(), 10.0);
  EXPECT_EQ(model.columns(1).standard_deviation(), 2.0);
  EXPECT_EQ(model.columns(2).spec().type(), v1::COLUMN_TYPE_CONSTANT);
  EXPECT_EQ(model.columns(2).mean(), 7.0);
  EXPECT_EQ(model.columns(2).standard_deviation(), 0.0);
  EXPECT_EQ(model.columns(3).spec().lower_bound(), 0.0);
  EXPECT_EQ(model.columns(3).spec().upper_bound(), 1.0);
  EXPECT_EQ(model.latent_dim(), 3U);
  EXPECT_EQ(model.flow().stack().layers(), 2U);
  EXPECT_EQ(model.flow().stack().mixing(), v1::MIXING_NONE);
  EXPECT_GT(model.parameter_count(), 0U);
  EXPECT_EQ(model.report().calibration_rows(), 99U);
  EXPECT_EQ(model.report().stop_reason(), v1::STOP_REASON_MAX_EPOCHS);
  EXPECT_EQ(model.calibration().rows(), 99U);
  EXPECT_EQ(model.calibration().smallest_rate(), 0.01);
  EXPECT_EQ(model.calibration().false_positive_rate(), 0.05);
  EXPECT_LT(model.calibration().threshold(), -18.0);
}

TEST(ModelService, ABrokenVersionIsListedAndOthersServe) {
  InProcessServer server([](Config& config) {
    ExposeMetrics(config);
    PutFile(config, "small/2/model.safetensors", "broken");
    PutFile(config, "wreck/1/model.safetensors", EncodeModel(SmallModel())->substr(0, 500));
  });
  const v1::Model broken = Get(server, "small", 2);
  EXPECT_EQ(broken.state(), v1::MODEL_STATE_FAILED);
  EXPECT_FALSE(broken.state_message().empty());
  EXPECT_EQ(broken.columns_size(), 0);
  EXPECT_EQ(Get(server, "small", 0).version(), 1U);
  v1::LogProbRequest request;
  request.set_name("wreck");
  *request.mutable_rows() = SmallRows(1);
  v1::LogProbResponse response;
  grpc::ClientContext context;
  EXPECT_EQ(server.density().LogProb(&context, request, &response).error_code(),
            StatusCode::DATA_LOSS);
  EXPECT_NE(server.Metrics().find("millrace_model_load_failures_total 2"), std::string::npos);
}

TEST(ModelService, ListsInPagesAndDeletes) {
  InProcessServer server([](Config& config) {
    const std::string bytes = *EncodeModel(SmallModel());
    for (const char* path : {"a/1", "a/2", "b/1", "c/7"}) {
      PutFile(config, std::string(path) + "/model.safetensors", bytes);
    }
  });
  const auto list = [&server](const std::string& name) {
    std::vector<std::string> found;
    v1::ListModelsRequest request;
    request.set_name(name);
    request.set_page_size(2);
    do {
      grpc::ClientContext context;
      v1::ListModelsResponse response;
      EXPECT_TRUE(server.models().ListModels(&context, request, &response).ok());
      EXPECT_LE(response.models_size(), 2);
      for (const v1::Model& model : response.models()) {
        found.push_back(model.name() + "/" + std::to_string(model.version()));
      }
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(list(""), (Names{"a/2", "b/1", "c/7", "small/1"}));
  EXPECT_EQ(list("a"), (Names{"a/1", "a/2"}));

  v1::DeleteModelRequest request;
  request.set_name("a");
  request.set_all_versions(true);
  v1::DeleteModelResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.models().DeleteModel(&context, request, &response).ok());
  EXPECT_EQ(response.name(), "a");
  EXPECT_EQ(response.versions_size(), 2);
  grpc::ClientContext again;
  EXPECT_EQ(server.models().DeleteModel(&again, request, &response).error_code(),
            StatusCode::NOT_FOUND);
  EXPECT_EQ(list(""), (Names{"b/1", "c/7", "small/1"}));
  EXPECT_FALSE(std::filesystem::exists(server.model_dir() + "/a/1"));
}

TEST(ModelService, APageFitsAMessage) {
  constexpr std::int64_t kMessage = 4096;
  InProcessServer server([](Config& config) {
    config.limits.max_message_bytes = kMessage;
    const std::string bytes = *EncodeModel(SmallModel());
    for (int version = 2; version <= 30; ++version) {
      PutFile(config, "small/" + std::to_string(version) + "/model.safetensors", bytes);
    }
  });
  v1::ListModelsRequest request;
  request.set_name("small");
  std::uint64_t listed = 0;
  int pages = 0;
  do {
    grpc::ClientContext context;
    v1::ListModelsResponse response;
    const grpc::Status status = server.models().ListModels(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_LE(response.ByteSizeLong(), static_cast<std::size_t>(kMessage));
    ASSERT_GT(response.models_size(), 0);
    for (const v1::Model& model : response.models()) EXPECT_EQ(model.version(), ++listed);
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, 30U);
  EXPECT_LT(pages, 30);  // several models a page
}

}  // namespace
}  // namespace millrace
