// SPDX-License-Identifier: Apache-2.0
// complete, attribute and manipulate, against a server whose answers are known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "client/cli/io/file_error.h"
#include "tests/client/cli/commands.h"

namespace millrace::cli {
namespace {

using client::FromMatrix;
using client::Table;
using client::ToMatrix;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Puts 9 where a value is missing; draws count up from there. The log-density is the first row
// asked about.
grpc::Status FillWithNines(grpc::ServerContext&, const v1::CompleteRequest& request,
                           v1::CompleteResponse& response) {
  const Table rows = *FromMatrix(request.rows());
  const int copies = std::max(static_cast<int>(request.draws()), 1);
  Table out{{}, rows.rows * copies, rows.cols, {}};
  for (std::int64_t r = 0; r < rows.rows; ++r)
    for (int k = 0; k < copies; ++k) {
      for (const double v : rows.row(r)) out.values.push_back(std::isnan(v) ? 9.0 + k : v);
      response.add_log_prob(static_cast<double>(request.first_row()) + static_cast<double>(r));
      response.add_out_of_support(false);
      if (request.draws() > 0) response.add_acceptance_rate(0.5);
      if (request.draws() == 0) response.add_converged(true);
    }
  *response.mutable_rows() = ToMatrix(out, 0, out.rows);
  for (const char* name : {"x", "y"}) response.add_column_names(name);
  response.set_version(3);
  return grpc::Status::OK;
}

TEST_F(Commands, CompleteTakesEmptyFieldsAndNaN) {
  server_.complete = FillWithNines;
  const std::string path = folder_.Write("t.csv", "x,y\n1,\n,4\nnan,NaN\n5,6\n");
  ASSERT_TRUE(Run("complete moons " + path).ok());
  EXPECT_EQ(out_, "x,y,log_prob,converged\n1,9,0,1\n9,4,1,1\n9,9,2,1\n5,6,3,1\n");
  ASSERT_TRUE(Run("complete moons " + folder_.Write("one.csv", "x,y\n1,\n") + " --draws 2").ok());
  EXPECT_EQ(out_, "x,y,log_prob,acceptance_rate\n1,9,0,0.5\n1,10,0,0.5\n");
}

TEST_F(Commands, CompleteSendsItsOptionsAndCountsRowsOverParts) {
  std::vector<std::uint64_t> first_rows;
  server_.complete = [&](auto& context, const auto& request, auto& response) {
    first_rows.push_back(request.first_row());
    EXPECT_EQ(request.seed(), 5u);
    EXPECT_EQ(request.steps(), 50u);
    EXPECT_EQ(request.draws(), 1u);
    EXPECT_EQ(request.version(), 3u);
    return FillWithNines(context, request, response);
  };
  std::string text = "x,y\n";
  for (int i = 0; i < 1500; ++i) text += "1,\n";
  ASSERT_TRUE(
      Run("complete moons " + folder_.Write("t.csv", text) + " --draws 1 --seed 5 --steps 50")
          .ok());
  EXPECT_THAT(first_rows, ElementsAre(0, 1024));
  EXPECT_THAT(out_, HasSubstr("\n1,9,1499,0.5\n"));
}

TEST_F(Commands, OtherCommandsTakeNoMissingValues) {
  const std::string path = folder_.Write("t.csv", "x,y\n1,2\n3,\n");
  const absl::Status empty = Run("log-prob moons " + path);
  EXPECT_TRUE(IsFileError(empty));
  EXPECT_THAT(std::string(empty.message()), HasSubstr("t.csv:3:2: '' is empty, not a number"));
  EXPECT_TRUE(IsFileError(Run("complete moons " + folder_.Write("u.csv", "x,y\n1,inf\n"))));
  EXPECT_TRUE(IsFileError(Run("complete moons " + folder_.Write("v.csv", "x,y\n1,-\n"))));
}

class AttributeCommand : public Commands {
 protected:
  AttributeCommand() {
    // Latent points are the rows.
    server_.encode = [this](auto&, const auto& request, auto& response) {
      sides_.push_back(request);
      *response.mutable_latents() = request.rows();
      response.set_version(3);
      return grpc::Status::OK;
    };
    server_.create_attribute_vector = [this](auto&, const auto& request, auto& response) {
      seen_ = request;
      response.set_name(request.name());
      response.set_version(request.version() + 1);
      response.mutable_attribute()->set_name(request.attribute());
      for (const double v : {3.0, 4.0}) response.mutable_attribute()->add_vector(v);
      return grpc::Status::OK;
    };
  }
  // The rows of the attribute command just run, with the attribute (0) and without (1).
  std::vector<double> Side(std::size_t side) {
    return FromMatrix(sides_[sides_.size() - 2 + side].rows())->values;
  }
  std::vector<v1::EncodeRequest> sides_;
  v1::CreateAttributeVectorRequest seen_;
};

TEST_F(AttributeCommand, TakesTwoFiles) {
  const std::string with = folder_.Write("with.csv", "x,y\n1,2\n3,4\n");
  const std::string without = folder_.Write("without.csv", "x,y\n5,6\n");
  ASSERT_TRUE(Run("attribute moons upper " + with + " --without " + without).ok());
  EXPECT_EQ(out_, "model moons version 4\nattribute upper, 2 rows with it, 1 without, length 5\n");
  EXPECT_EQ(seen_.version(), 3u);
  EXPECT_THAT(Side(0), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Side(1), ElementsAre(5, 6));
  EXPECT_THAT(seen_.vector(), ElementsAre(2 - 5, 3 - 6));
  EXPECT_THAT(sides_[0].column_names(), ElementsAre("x", "y"));
}

TEST_F(AttributeCommand, TakesALabelColumn) {
  const std::string path = folder_.Write("t.csv", "x,digit,y\n1,8,2\n3,0,4\n5,1,6\n");
  ASSERT_TRUE(Run("attribute moons eight " + path + " --label digit --equals 8").ok());
  EXPECT_THAT(Side(0), ElementsAre(1, 2));
  EXPECT_THAT(Side(1), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(sides_[0].column_names(), ElementsAre("x", "y"));
  ASSERT_TRUE(Run("attribute moons eight " + path + " --label digit --rows :2").ok());
  EXPECT_THAT(Side(1), ElementsAre(3, 4));
  ASSERT_TRUE(Run("attribute moons any " + path + " --label 1").ok());
  EXPECT_THAT(Side(0), ElementsAre(1, 2, 5, 6));
  const absl::Status all = Run("attribute moons two " + path + " --label digit --equals 2");
  EXPECT_THAT(std::string(all.message()), HasSubstr("0 have the attribute, 3 have it not"));
}

TEST_F(AttributeCommand, WantsOneWayToTellRowsApart) {
  const std::string path = folder_.Write("t.csv", "x,y\n1,2\n3,0\n");
  for (const std::string& flags :
       {std::string(), " --label y --without " + path, std::string(" --equals 2")})
    EXPECT_TRUE(absl::IsFailedPrecondition(Run("attribute moons a " + path + flags))) << flags;
}

TEST_F(AttributeCommand, AServersErrorNamesTheLineOfItsFile) {
  server_.encode = [this](auto&, const auto& request, auto& response) {
    sides_.push_back(request);
    if (sides_.size() % 2 == 0) return client::BadRow(1);
    *response.mutable_latents() = request.rows();
    return grpc::Status::OK;
  };
  const std::string path = folder_.Write("t.csv", "x,y,l\n1,2,0\n3,4,1\n5,6,0\n");
  EXPECT_THAT(std::string(Run("attribute moons a " + path + " --label l").message()),
              HasSubstr("t.csv:4: "));
  const std::string other = folder_.Write("u.csv", "x,y,l\n1,2,0\n3,4,1\n5,6,0\n");
  EXPECT_THAT(std::string(Run("attribute moons a " + path + " --without " + other).message()),
              HasSubstr("u.csv:3: "));
}

TEST_F(Commands, ManipulateWritesARowForEachAmount) {
  server_.manipulate = [](auto&, const auto& request, auto& response) {
    EXPECT_EQ(request.attribute(), "upper");
    const Table rows = *FromMatrix(request.rows());
    Table out{{}, rows.rows * request.amounts_size(), rows.cols, {}};
    for (std::int64_t r = 0; r < rows.rows; ++r)
      for (const double amount : request.amounts()) {
        for (const double v : rows.row(r)) out.values.push_back(v + amount);
        response.add_log_prob(-1.5);
        response.add_out_of_support(false);
      }
    *response.mutable_rows() = ToMatrix(out, 0, out.rows);
    for (const char* name : {"x", "y"}) response.add_column_names(name);
    return grpc::Status::OK;
  };
  const std::string path = folder_.Write("t.csv", "x,y\n1,2\n3,4\n");
  ASSERT_TRUE(Run("manipulate moons " + path + " --attribute upper --amount -1,0.5").ok());
  EXPECT_EQ(out_,
            "amount,x,y,log_prob\n-1,0,1,-1.5\n0.5,1.5,2.5,-1.5\n-1,2,3,-1.5\n0.5,3.5,4.5,-1.5\n");
  ASSERT_TRUE(Run("manipulate moons " + path + " --attribute upper").ok());
  EXPECT_THAT(out_, HasSubstr("1,2,3,-1.5"));
  for (const std::string flags : {"", " --attribute a --amount x", " --attribute a --amount inf"})
    EXPECT_TRUE(absl::IsFailedPrecondition(Run("manipulate moons " + path + flags))) << flags;
}

}  // namespace
}  // namespace millrace::cli
