// SPDX-License-Identifier: Apache-2.0
// Complete, CreateAttributeVector and Manipulate: contents, parts, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/status.h"
#include "tests/client/fake_server.h"

namespace millrace::client {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <typename Response>
void AddRows(const Table& rows, Response& response) {
  *response.mutable_rows() = ToMatrix(rows, 0, rows.rows);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    response.add_log_prob(-1.0);
    response.add_out_of_support(r == 0);
  }
  for (const char* name : {"x", "y"}) response.add_column_names(name);
}

TEST(Complete, CarriesOptionsAndAnswersInParts) {
  FakeServer server;
  std::vector<v1::CompleteRequest> seen;
  server.complete = [&](auto&, const auto& request, auto& response) {
    seen.push_back(request);
    response.set_version(7);
    AddRows(Counting(2 * request.rows().rows(), 2), response);
    for (std::uint32_t i = 0; i < 2 * request.rows().rows(); ++i) response.add_acceptance_rate(0.5);
    return grpc::Status::OK;
  };
  const auto result = server.Connect({.request_rows = 2})
                          .Complete({"moons"}, {{"y", "x"}, 3, 2, {kNaN, 1, 2, kNaN, 3, 4}},
                                    {.draws = 2, .seed = 9, .steps = 30, .first_row = 10});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->version, 7u);
  EXPECT_EQ(result->rows.rows, 6);
  EXPECT_THAT(result->rows.column_names, ElementsAre("x", "y"));
  EXPECT_EQ(result->log_prob.size(), 6u);
  EXPECT_EQ(result->acceptance_rate.size(), 6u);
  EXPECT_TRUE(result->converged.empty());
  ASSERT_GE(seen.size(), 2u);
  EXPECT_TRUE(std::isnan(FromMatrix(seen[0].rows())->values[0]));
  EXPECT_EQ(seen[0].draws(), 2u);
  EXPECT_EQ(seen[0].steps(), 30u);
  EXPECT_EQ(seen[0].seed(), 9u);
  EXPECT_THAT(seen[0].column_names(), ElementsAre("y", "x"));
  std::uint64_t row = 10;
  for (const v1::CompleteRequest& request : seen) {
    EXPECT_EQ(request.first_row(), row) << "parts draw as the whole does";
    EXPECT_EQ(request.version(), row == 10 ? 0u : 7u);
    row += request.rows().rows();
  }
}

TEST(Complete, FewImagesGoIntoARequest) {
  FakeServer server;
  std::vector<std::uint32_t> counts;
  server.complete = [&](auto&, const auto& request, auto& response) {
    counts.push_back(request.rows().rows());
    AddRows(Counting(request.rows().rows(), 784), response);
    for (std::uint32_t i = 0; i < request.rows().rows(); ++i) response.add_converged(true);
    return grpc::Status::OK;
  };
  EXPECT_TRUE(server.Connect().Complete({"digits"}, Counting(8, 784)).ok());
  EXPECT_THAT(counts, ElementsAre(5, 3));
}

TEST(Complete, AReplyThatContradictsItselfIsInternal) {
  FakeServer server;
  server.complete = [&](auto&, const auto&, auto& response) {
    AddRows(Counting(1, 2), response);
    return grpc::Status::OK;
  };
  const auto result = server.Connect().Complete({"moons"}, Counting(1, 2));
  EXPECT_TRUE(absl::IsInternal(result.status()));
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("converged"));
}

// Against a server where latent points are the rows, and the version is 4.
class CreateAttributeVector : public ::testing::Test {
 protected:
  CreateAttributeVector() {
    server_.encode = [this](auto&, const auto& request, auto& response) {
      encoded_.push_back(request);
      *response.mutable_latents() = request.rows();
      response.set_version(4);
      return grpc::Status::OK;
    };
    server_.create_attribute_vector = [this](auto&, const auto& request, auto& response) {
      created_ = request;
      response.set_version(5);
      return grpc::Status::OK;
    };
  }
  FakeServer server_;
  std::vector<v1::EncodeRequest> encoded_;
  v1::CreateAttributeVectorRequest created_;
};

const AttributeRows kAttributeRows{.with = {{"x", "y"}, 3, 2, {1, 10, 2, 20, 6, 60}},
                                   .without = {{"x", "y"}, 1, 2, {4, 5}},
                                   .context_with = {{"c"}, 3, 1, {7, 8, 9}},
                                   .context_without = {{"c"}, 1, 1, {6}}};

TEST_F(CreateAttributeVector, IsTheDifferenceOfMeansOfWhatIsEncodedInParts) {
  const auto reply = server_.Connect({.request_rows = 2})
                         .CreateAttributeVector({"moons"}, "upper", kAttributeRows);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->version(), 5u);
  EXPECT_EQ(created_.attribute(), "upper");
  EXPECT_EQ(created_.version(), 4u) << "the one whose latent space it is";
  EXPECT_THAT(created_.vector(), ElementsAre(DoubleNear(-1, 1e-12), DoubleNear(25, 1e-12)));
  EXPECT_EQ(created_.vector_rows_with(), 3u);
  EXPECT_EQ(created_.vector_rows_without(), 1u);
  EXPECT_FALSE(created_.has_rows_with());
  ASSERT_EQ(encoded_.size(), 3u);
  EXPECT_EQ(encoded_[0].version(), 0u);
  EXPECT_THAT(encoded_[0].column_names(), ElementsAre("x", "y"));
  EXPECT_THAT(FromMatrix(encoded_[1].rows())->values, ElementsAre(6, 60));
  EXPECT_THAT(FromMatrix(encoded_[1].context())->values, ElementsAre(9));
  EXPECT_EQ(encoded_[2].version(), 4u);
  EXPECT_THAT(FromMatrix(encoded_[2].context())->values, ElementsAre(6));
  EXPECT_THAT(encoded_[2].context_column_names(), ElementsAre("c"));
}

TEST_F(CreateAttributeVector, NamesTheSideAndRowAtFault) {
  server_.encode = [&](auto&, const auto& request, auto& response) {
    if (FromMatrix(request.rows())->values[0] == 6.0) return BadRow(0);
    *response.mutable_latents() = request.rows();
    return grpc::Status::OK;
  };
  const auto with = server_.Connect({.request_rows = 2})
                        .CreateAttributeVector({"moons"}, "upper", kAttributeRows)
                        .status();
  EXPECT_EQ(ErrorDetailOf(with)->field(), "rows_with");
  EXPECT_EQ(ErrorDetailOf(with)->row(), 2u);
  EXPECT_THAT(std::string(with.message()), HasSubstr("(of rows_with)"));
  AttributeRows turned = kAttributeRows;
  std::swap(turned.with, turned.without);
  turned.context_with = turned.context_without = {};
  const auto without = server_.Connect().CreateAttributeVector({"moons"}, "upper", turned).status();
  EXPECT_TRUE(without.ok()) << "6 is not the first of a request";
  turned.without.values[0] = 6;
  EXPECT_EQ(
      ErrorDetailOf(server_.Connect().CreateAttributeVector({"moons"}, "upper", turned).status())
          ->field(),
      "rows_without");
  EXPECT_EQ(NamePart(absl::AbortedError("late"), "with"), absl::AbortedError("late"));
}

TEST_F(CreateAttributeVector, IsNotRepeatedAndWantsTheSameColumns) {
  server_.create_attribute_vector = [](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy");
  };
  EXPECT_FALSE(server_.Connect().CreateAttributeVector({"moons"}, "upper", kAttributeRows).ok());
  EXPECT_EQ(server_.calls, 3);
  AttributeRows other = kAttributeRows;
  other.without.column_names = {"x", "z"};
  EXPECT_TRUE(absl::IsInvalidArgument(
      server_.Connect().CreateAttributeVector({"moons"}, "upper", other).status()));
  EXPECT_EQ(server_.calls, 3);
}

TEST_F(CreateAttributeVector, RepliesOfUnlikeWidthsAreInternal) {
  for (const std::size_t odd : {1u, 2u}) {  // within a side, between the sides
    encoded_.clear();
    server_.encode = [&](auto&, const auto& request, auto& response) {
      encoded_.push_back(request);
      const int cols = encoded_.size() == odd + 1 ? 3 : 2;
      const Table latents = Counting(request.rows().rows(), cols);
      *response.mutable_latents() = ToMatrix(latents, 0, latents.rows);
      return grpc::Status::OK;
    };
    const auto reply = server_.Connect({.request_rows = 2})
                           .CreateAttributeVector({"moons"}, "upper", kAttributeRows);
    EXPECT_EQ(reply.status(),
              absl::InternalError("the server's replies to Encode have 2 columns, then 3"));
  }
}

TEST(Manipulate, CarriesTheVectorAndAnswers) {
  FakeServer server;
  v1::ManipulateRequest seen;
  server.manipulate = [&](auto&, const auto& request, auto& response) {
    seen = request;
    AddRows(Counting(4, 2), response);
    return grpc::Status::OK;
  };
  const auto moved = server.Connect().Manipulate({"moons"}, Counting(2, 2),
                                                 {.vector = {1, 2}, .amounts = {0.5, -1}});
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->rows.rows, 4);
  EXPECT_EQ(moved->out_of_support[0], true);
  EXPECT_EQ(moved->log_prob.size(), 4u);
  EXPECT_THAT(seen.vector(), ElementsAre(1, 2));
  EXPECT_THAT(seen.amounts(), ElementsAre(0.5, -1));
}

}  // namespace
}  // namespace millrace::client
