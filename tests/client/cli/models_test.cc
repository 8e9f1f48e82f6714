// SPDX-License-Identifier: Apache-2.0
// millrace models, describe, delete.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/client/cli/commands.h"

namespace millrace::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(Commands, ModelsAndDescribeShowWhatThereIs) {
  v1::Model model;
  model.set_name("moons");
  model.set_version(2);
  model.set_state(v1::MODEL_STATE_ACTIVE);
  model.add_columns()->mutable_spec()->set_name("height");
  model.mutable_create_time()->set_seconds(86400);
  server_.list_models = [&](auto&, const auto&, auto& response) {
    *response.add_models() = model;
    response.add_models()->set_state(v1::MODEL_STATE_FAILED);
    response.mutable_models(1)->set_state_message("checksum differs");
    return grpc::Status::OK;
  };
  server_.get_model = [&](auto&, const auto& request, auto& response) {
    EXPECT_EQ(request.version(), 2u);
    *response.mutable_model() = model;
    return grpc::Status::OK;
  };
  ASSERT_TRUE(Run("models").ok());
  EXPECT_THAT(out_, HasSubstr("moons"));
  EXPECT_THAT(out_, HasSubstr("1970-01-02 00:00:00"));
  EXPECT_THAT(out_, HasSubstr("failed: checksum differs"));
  ASSERT_TRUE(Run("models --json").ok());
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 2);
  ASSERT_TRUE(Run("describe moons:2").ok());
  EXPECT_THAT(out_, HasSubstr("height"));
  ASSERT_TRUE(Run("describe moons:2 --json").ok());
  EXPECT_THAT(out_, HasSubstr("\"version\": \"2\""));
}

TEST_F(Commands, DescribeNamesTheGaussianAModelFellBackTo) {
  v1::Model model;
  model.mutable_flow()->mutable_stack()->set_architecture(v1::ARCHITECTURE_MAF);
  model.mutable_flow()->mutable_stack()->add_hidden_sizes(32);
  server_.get_model = [&](auto&, const auto&, auto& response) {
    *response.mutable_model() = model;
    return grpc::Status::OK;
  };
  ASSERT_TRUE(Run("describe moons").ok());
  EXPECT_THAT(out_, HasSubstr("maf, "));
  model.mutable_report()->set_fell_back_to_gaussian(true);
  ASSERT_TRUE(Run("describe moons").ok());
  EXPECT_THAT(out_, HasSubstr("  flow                 a full-covariance Gaussian\n"));
  model.mutable_flow()->mutable_stack()->set_heavy_tails(true);
  ASSERT_TRUE(Run("describe moons").ok());
  EXPECT_THAT(out_, HasSubstr("a full-covariance Gaussian, heavy tails\n"));
  EXPECT_THAT(out_, Not(HasSubstr("maf")));
}

TEST_F(Commands, DescribeAlignsNamesOfAnyScript) {
  server_.get_model = [&](auto&, const auto&, auto& response) {
    for (const char* name : {"length", "l\u00e4nge", "\u0434\u043b\u0438\u043d\u0430"}) {
      response.mutable_model()->add_columns()->mutable_spec()->set_name(name);
    }
    return grpc::Status::OK;
  };
  ASSERT_TRUE(Run("describe moons").ok());
  EXPECT_THAT(out_, HasSubstr("  length               unspecified"));
  EXPECT_THAT(out_, HasSubstr("  l\u00e4nge                unspecified"));
  EXPECT_THAT(out_, HasSubstr("  \u0434\u043b\u0438\u043d\u0430                unspecified"));
}

TEST_F(Commands, DeleteWantsAVersionOrAll) {
  server_.delete_model = [](auto&, const auto& request, auto& response) {
    response.add_versions(request.all_versions() ? 9 : request.version());
    return grpc::Status::OK;
  };
  EXPECT_FALSE(Run("delete moons").ok());
  EXPECT_FALSE(Run("delete moons:1 --all-versions").ok());
  EXPECT_EQ(server_.calls, 0);
  ASSERT_TRUE(Run("delete moons:4").ok());
  EXPECT_EQ(out_, "deleted moons version 4\n");
  ASSERT_TRUE(Run("delete moons --all-versions").ok());
  EXPECT_EQ(out_, "deleted moons version 9\n");
}

}  // namespace
}  // namespace millrace::cli
