// SPDX-License-Identifier: Apache-2.0
// The subcommands with conditional models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/client/cli/commands.h"

namespace millrace::cli {
namespace {

using client::FromMatrix;
using client::ToMatrix;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A server whose model has the columns c (a condition), x, k (a label) and y.
class ConditionalCommands : public Commands {
 protected:
  ConditionalCommands() {
    server_.get_model = [](auto&, const auto&, auto& response) {
      v1::Model& model = *response.mutable_model();
      model.set_name("wave");
      model.set_version(3);
      for (const char* name : {"c", "x", "k", "y"}) {
        v1::ColumnSpec& spec = *model.add_columns()->mutable_spec();
        spec.set_name(name);
        const bool condition = spec.name() == "c" || spec.name() == "k";
        spec.set_role(condition ? v1::COLUMN_ROLE_CONDITION : v1::COLUMN_ROLE_FEATURE);
      }
      model.mutable_columns(2)->mutable_spec()->set_type(v1::COLUMN_TYPE_CATEGORICAL);
      for (const double category : {1.0, 2.5}) model.mutable_columns(2)->add_categories(category);
      return grpc::Status::OK;
    };
    server_.log_prob = [this](auto&, const auto& request, auto& response) {
      asked_ = request;
      for (std::uint32_t r = 0; r < request.rows().rows(); ++r) {
        response.add_log_prob(r);
        response.add_out_of_support(false);
      }
      return grpc::Status::OK;
    };
    // Rows 0, 1, 2, ... of two columns.
    server_.sample = [this](auto&, const auto& request, auto& stream) {
      sampled_ = request;
      const auto rows =
          static_cast<std::int64_t>(request.count() * std::max(1u, request.context().rows()));
      for (std::int64_t first = 0; first < rows; ++first) {
        v1::SampleResponse response;
        response.set_first_row(static_cast<std::uint64_t>(first));
        *response.mutable_rows() =
            ToMatrix({{}, 1, 2, {double(first), 10.0 * double(first)}}, 0, 1);
        if (first == 0) {
          response.add_column_names("x");
          response.add_column_names("y");
        }
        stream.Write(response);
      }
      return grpc::Status::OK;
    };
  }

  v1::LogProbRequest asked_;
  v1::SampleRequest sampled_;
};

TEST_F(ConditionalCommands, TheFilesColumnsAreTakenApartByName) {
  const std::string path = folder_.Write("t.csv", "y,k,x,c\n1,2,3,4\n5,6,7,8\n");
  const absl::Status status = Run("log-prob wave " + path + " --with-input");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(asked_.version(), 3u) << "that was described";
  EXPECT_THAT(asked_.column_names(), ElementsAre("x", "y")) << "in the model's order";
  EXPECT_THAT(FromMatrix(asked_.rows())->values, ElementsAre(3, 1, 7, 5));
  EXPECT_THAT(asked_.context_column_names(), ElementsAre("k", "c"));
  EXPECT_THAT(FromMatrix(asked_.context())->values, ElementsAre(2, 4, 6, 8));
  EXPECT_EQ(out_, "y,k,x,c,log_prob\n1,2,3,4,0\n5,6,7,8,1\n");
}

TEST_F(ConditionalCommands, NamelessColumnsAreTakenApartByPosition) {
  const absl::Status status = Run("log-prob wave " + folder_.Write("t.csv", "1,2,3,4\n"));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(FromMatrix(asked_.rows())->values, ElementsAre(2, 4));
  EXPECT_THAT(FromMatrix(asked_.context())->values, ElementsAre(1, 3));
  EXPECT_THAT(asked_.context_column_names(), ElementsAre());
}

TEST_F(ConditionalCommands, GivenConditionsTakeThePlaceOfTheFiles) {
  for (const char* table : {"x,y\n2,4\n", "c,y,x\n9,4,2\n"}) {
    const absl::Status status =
        Run("log-prob wave " + folder_.Write("t.csv", table) + " --given k=2.5,c=-1");
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(asked_.rows().cols(), 2u);
    EXPECT_THAT(asked_.context_column_names(), ElementsAre("k", "c"));
    EXPECT_THAT(FromMatrix(asked_.context())->values, ElementsAre(2.5, -1));
  }
}

TEST_F(ConditionalCommands, AMissingConditionIsNamed) {
  const absl::Status status = Run("log-prob wave " + folder_.Write("t.csv", "x,y,c\n1,2,3\n"));
  EXPECT_EQ(status.message(), "the table has no column 'k', a condition of model wave");
  const absl::Status nameless = Run("log-prob wave " + folder_.Write("u.csv", "1,2,3\n"));
  EXPECT_THAT(std::string(nameless.message()), HasSubstr("was trained on 4, 2 of them conditions"));
}

TEST_F(ConditionalCommands, SamplesComeWithTheirConditions) {
  absl::Status status = Run("sample wave -n 2 --given c=0.5,k=1 --given k=2.5,c=0.25");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(sampled_.count(), 2u);
  EXPECT_THAT(sampled_.context_column_names(), ElementsAre("c", "k"));
  EXPECT_THAT(FromMatrix(sampled_.context())->values, ElementsAre(0.5, 1, 0.25, 2.5));
  const std::string expected = "c,x,k,y\n0.5,0,1,0\n0.5,1,1,10\n0.25,2,2.5,20\n0.25,3,2.5,30\n";
  EXPECT_EQ(out_, expected);

  const std::string path = folder_.Write("c.csv", "k,other,c\n1,0,0.5\n2.5,0,0.25\n");
  status = Run("sample wave -n 2 --context " + path);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(out_, expected);
}

TEST_F(ConditionalCommands, WrongConditionsOfSamplesAreRefused) {
  EXPECT_THAT(std::string(Run("sample wave -n 2 --given c=1").message()), HasSubstr("'k'"));
  EXPECT_THAT(std::string(Run("sample wave -n 2 --given c=1,k=1,z=1").message()),
              HasSubstr("no conditions of model wave"));
  for (const char* wrong : {"--given c", "--given c=one", "--given =1", "--given c=1 --given k=1",
                            "--given c=1,k=1 --context t.csv"}) {
    EXPECT_EQ(Run(std::string("sample wave -n 2 ") + wrong).code(),
              absl::StatusCode::kFailedPrecondition)
        << wrong;
  }
}

// The model has two conditions among its columns: one column can be neither.
TEST_F(ConditionalCommands, NamelessConditionsOfAnotherWidthAreRefused) {
  const std::string path = folder_.Write("one.csv", "1\n2\n");
  const absl::Status status = Run("sample wave -n 2 --context " + path);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("2 conditions"));
}

TEST_F(ConditionalCommands, APathLiesUnderOneCondition) {
  v1::InterpolateRequest asked;
  server_.interpolate = [&](auto&, const auto& request, auto& response) {
    asked = request;
    *response.mutable_path() = ToMatrix({{}, 2, 2, {1, 2, 3, 4}}, 0, 2);
    for (int i = 0; i < 2; ++i) response.add_log_prob(0);
    return grpc::Status::OK;
  };
  const std::string path = folder_.Write("t.csv", "c,x,k,y\n0.5,1,1,2\n0.5,3,1,4\n0.6,5,1,6\n");
  ASSERT_TRUE(Run("interpolate wave " + path + " --steps 2").ok());
  EXPECT_THAT(FromMatrix(asked.rows())->values, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(FromMatrix(asked.context())->values, ElementsAre(0.5, 1));
  EXPECT_THAT(std::string(Run("interpolate wave " + path + " --rows 0,2 --steps 2").message()),
              HasSubstr("different conditions"));
  ASSERT_TRUE(Run("interpolate wave " + path + " --rows 0,2 --steps 2 --given c=1,k=1").ok());
  EXPECT_THAT(FromMatrix(asked.context())->values, ElementsAre(1, 1));
}

TEST_F(ConditionalCommands, TrainMarksColumns) {
  v1::TrainSpec spec;
  server_.train = [&](auto&, auto& stream) {
    v1::TrainRequest request;
    while (stream.Read(&request)) {
      if (request.has_spec()) spec = request.spec();
    }
    v1::TrainResponse response;
    response.mutable_done();
    stream.Write(response);
    return grpc::Status::OK;
  };
  const std::string flags = " -q --condition c --categorical k";
  ASSERT_TRUE(Run("train wave " + folder_.Write("t.csv", "c,x,k\n1,2,3\n") + flags).ok());
  ASSERT_EQ(spec.columns_size(), 3);
  EXPECT_EQ(spec.columns(0).role(), v1::COLUMN_ROLE_CONDITION);
  EXPECT_EQ(spec.columns(0).type(), v1::COLUMN_TYPE_UNSPECIFIED);
  EXPECT_EQ(spec.columns(1).role(), v1::COLUMN_ROLE_UNSPECIFIED);
  EXPECT_EQ(spec.columns(2).role(), v1::COLUMN_ROLE_CONDITION);
  EXPECT_EQ(spec.columns(2).type(), v1::COLUMN_TYPE_CATEGORICAL);

  const std::string nameless = folder_.Write("u.csv", "1,2\n3,4\n");
  ASSERT_TRUE(Run("train wave " + nameless + " -q --condition x1").ok());
  EXPECT_EQ(spec.columns(1).role(), v1::COLUMN_ROLE_CONDITION);
  EXPECT_EQ(Run("train wave " + nameless + " -q --condition c").message(),
            "the table has no column 'c'");
}

TEST_F(ConditionalCommands, DescribeShowsTheConditions) {
  ASSERT_TRUE(Run("describe wave").ok());
  EXPECT_THAT(out_, HasSubstr("categorical"));
  EXPECT_THAT(out_, HasSubstr("a condition: 1, 2.5"));
}

}  // namespace
}  // namespace millrace::cli
