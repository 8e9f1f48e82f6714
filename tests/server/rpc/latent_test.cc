// SPDX-License-Identifier: Apache-2.0
// Completion and attribute vectors through real calls, against the core asked directly; and what a
// client can get wrong with them.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/score/attribute.h"
#include "core/score/density.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/support/bad_input.h"
#include "tests/server/support/in_process_server.h"
#include "tests/server/support/small_model.h"

namespace millrace {
namespace {

using grpc::StatusCode;
using testing::ElementsAre;

std::vector<double> Values(const v1::Matrix& matrix) {
  std::vector<double> values(matrix.raw_f64_le().size() / sizeof(double));
  std::memcpy(values.data(), matrix.raw_f64_le().data(), matrix.raw_f64_le().size());
  return values;
}

std::vector<double> ValuesOf(const Rows<double>& rows) {
  return {rows.data(), rows.data() + rows.rows() * rows.cols()};
}

template <typename Field>
std::vector<double> Doubles(const Field& field) {
  return {field.begin(), field.end()};
}

RowsView<const double> View(const std::vector<double>& values) {
  return {values.data(), static_cast<std::int64_t>(values.size()) / 4, 4};
}

// Rows x, y, k, u with holes; the second has none, the third nothing else.
const std::vector<double> kHoles = {0.2, NAN, 7, NAN, 0.1, 10, 7, 0.5, NAN, NAN, NAN, NAN};

grpc::Status Complete(InProcessServer& server, const Spoil<v1::CompleteRequest>& spoil,
                      v1::CompleteResponse* response = nullptr) {
  v1::CompleteRequest request;
  request.set_name("small");
  *request.mutable_rows() = MakeMatrix(3, 4, kHoles);
  spoil(request);
  grpc::ClientContext context;
  v1::CompleteResponse unused;
  return server.density().Complete(&context, request, response == nullptr ? &unused : response);
}

grpc::Status Create(
    InProcessServer& server, const Spoil<v1::CreateAttributeVectorRequest>& spoil = [](auto&) {},
    v1::CreateAttributeVectorResponse* response = nullptr) {
  v1::CreateAttributeVectorRequest request;
  request.set_name("small");
  request.set_attribute("bright");
  *request.mutable_rows_with() = MakeMatrix(2, 4, {0.5, 11, 7, 0.9, 0.7, 12, 7, 0.8});
  *request.mutable_rows_without() = SmallRows(5);
  spoil(request);
  grpc::ClientContext context;
  v1::CreateAttributeVectorResponse unused;
  return server.density().CreateAttributeVector(&context, request,
                                                response == nullptr ? &unused : response);
}

grpc::Status Move(InProcessServer& server, const Spoil<v1::ManipulateRequest>& spoil,
                  v1::ManipulateResponse* response = nullptr) {
  v1::ManipulateRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(2);
  for (const double v : {1.0, 0.0, -0.5}) request.add_vector(v);
  for (const double a : {0.0, 0.5}) request.add_amounts(a);
  spoil(request);
  grpc::ClientContext context;
  v1::ManipulateResponse unused;
  return server.density().Manipulate(&context, request, response == nullptr ? &unused : response);
}

class LatentTest : public testing::Test {
 protected:
  v1::Model Describe(std::uint64_t version) {
    v1::GetModelRequest request;
    request.set_name("small");
    request.set_version(version);
    grpc::ClientContext context;
    v1::GetModelResponse response;
    EXPECT_TRUE(server_.models().GetModel(&context, request, &response).ok());
    return response.model();
  }

  InProcessServer server_;
  const std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 1});
  const std::unique_ptr<const Density> density_ =
      *Density::Create(std::make_shared<Model>(SmallModel()), *backend_);
};

TEST_F(LatentTest, TheMostLikelyIsTheCores) {
  v1::CompleteResponse response;
  const grpc::Status status = Complete(
      server_, [](auto&) {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const Completions expected = *density_->Complete(View(kHoles), {}, {});
  EXPECT_EQ(Values(response.rows()), ValuesOf(expected.rows));
  EXPECT_EQ(Doubles(response.log_prob()), expected.log_prob);
  EXPECT_EQ(response.converged_size(), 3);
  EXPECT_EQ(response.out_of_support_size(), 3);
  EXPECT_EQ(response.acceptance_rate_size(), 0);
  EXPECT_THAT(response.column_names(), ElementsAre("x", "y", "k", "u"));
  EXPECT_EQ(response.version(), 1U);
}

TEST_F(LatentTest, DrawsAreTheCores) {
  v1::CompleteResponse response;
  const auto options = [](v1::CompleteRequest& request) {
    request.set_draws(3);
    request.set_steps(20);
    request.set_seed(9);
    request.set_first_row(5);
  };
  const grpc::Status status = Complete(server_, options, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const Completions expected =
      *density_->Complete(View(kHoles), {.draws = 3, .steps = 20, .seed = 9, .first_row = 5}, {});
  EXPECT_EQ(Values(response.rows()), ValuesOf(expected.rows));
  EXPECT_EQ(Doubles(response.acceptance_rate()), expected.acceptance);
  EXPECT_EQ(response.converged_size(), 0);

  // In another order of columns.
  v1::CompleteResponse reordered;
  const auto backwards = [&](v1::CompleteRequest& request) {
    options(request);
    std::vector<double> values = kHoles;
    for (int r = 0; r < 3; ++r) std::reverse(values.begin() + 4 * r, values.begin() + 4 * r + 4);
    *request.mutable_rows() = MakeMatrix(3, 4, values);
    for (const char* name : {"u", "k", "y", "x"}) request.add_column_names(name);
  };
  ASSERT_TRUE(Complete(server_, backwards, &reordered).ok());
  EXPECT_EQ(Values(reordered.rows()), ValuesOf(expected.rows));
}

TEST_F(LatentTest, AnAttributeIsPublishedAsANewVersionOfTheSameDensity) {
  v1::CreateAttributeVectorResponse created;
  const grpc::Status status = Create(
      server_, [](auto&) {}, &created);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(created.version(), 2U);
  EXPECT_EQ(created.attribute().name(), "bright");
  const std::vector<double> with = {0.5, 11, 7, 0.9, 0.7, 12, 7, 0.8};
  const std::vector<double> without = Values(SmallRows(5));
  const AttributeVector expected =
      *ComputeAttribute(*density_, "bright", {View(with)}, {View(without)}, {});
  EXPECT_EQ(Doubles(created.attribute().vector()), expected.vector);
  EXPECT_EQ(Describe(1).attributes_size(), 0) << "a version never changes";
  ASSERT_EQ(Describe(2).attributes_size(), 1);
  EXPECT_EQ(Doubles(Describe(2).attributes(0).vector()), expected.vector);
  EXPECT_EQ(Describe(2).attributes(0).rows_with(), 2U);
  EXPECT_EQ(Describe(2).report().DebugString(), Describe(1).report().DebugString());

  grpc::ClientContext context;
  v1::ListModelsResponse list;
  ASSERT_TRUE(server_.models().ListModels(&context, {}, &list).ok());
  EXPECT_EQ(list.models(0).attributes(0).name(), "bright");
  EXPECT_EQ(list.models(0).attributes(0).vector_size(), 0);

  v1::ManipulateResponse moved;
  const auto by_name = [](v1::ManipulateRequest& request) {
    request.clear_vector();
    request.set_attribute("bright");
  };
  ASSERT_TRUE(Move(server_, by_name, &moved).ok());
  const std::vector<double> rows = Values(SmallRows(2)), amounts = {0.0, 0.5};
  const MovedRows core = *Manipulate(*density_, View(rows), expected.vector, amounts, {});
  EXPECT_EQ(Values(moved.rows()), ValuesOf(core.rows));
  EXPECT_EQ(Doubles(moved.log_prob()), core.log_prob);
  EXPECT_EQ(moved.out_of_support_size(), 4);
  EXPECT_EQ(moved.version(), 2U);
  EXPECT_THAT(moved.column_names(), ElementsAre("x", "y", "k", "u"));
  const auto earlier = [&](v1::ManipulateRequest& request) {
    by_name(request);
    request.set_version(1);
  };
  EXPECT_EQ(Move(server_, earlier).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(LatentTest, AVectorFromWhatEncodeAnswersIsTheSame) {
  v1::CreateAttributeVectorResponse of_rows, of_vector;
  ASSERT_TRUE(Create(
                  server_, [](auto&) {}, &of_rows)
                  .ok());
  const auto mean_of = [&](const v1::Matrix& rows) {
    v1::EncodeRequest request;
    request.set_name("small");
    *request.mutable_rows() = rows;
    grpc::ClientContext context;
    v1::EncodeResponse response;
    EXPECT_TRUE(server_.density().Encode(&context, request, &response).ok());
    const std::vector<double> latents = Values(response.latents());
    std::vector<double> mean(response.latents().cols());
    for (std::size_t i = 0; i < latents.size(); ++i)
      mean[i % mean.size()] += latents[i] / response.latents().rows();
    return mean;
  };
  const auto given = [&](v1::CreateAttributeVectorRequest& request) {
    const std::vector<double> with = mean_of(request.rows_with());
    const std::vector<double> without = mean_of(request.rows_without());
    for (std::size_t i = 0; i < with.size(); ++i) request.add_vector(with[i] - without[i]);
    request.clear_rows_with();
    request.clear_rows_without();
    request.set_vector_rows_with(2);
    request.set_vector_rows_without(5);
  };
  const grpc::Status status = Create(server_, given, &of_vector);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(of_vector.version(), 3U);
  EXPECT_EQ(of_vector.attribute().DebugString(), of_rows.attribute().DebugString());
  EXPECT_EQ(Describe(3).attributes(0).DebugString(), of_rows.attribute().DebugString());
}

TEST_F(LatentTest, WhatForbidsAnAttributeIsSeenBeforeAnythingIsComputed) {
  // Rows that would be refused when computing.
  const auto spoilt = [](v1::CreateAttributeVectorRequest& request) {
    *request.mutable_rows_with() = MakeMatrix(1, 4, {NAN, 10, 7, 0.5});
  };
  for (int i = 0; i < AttributeVector::kMaxOfModel; ++i) {
    const std::string name = "a" + std::to_string(i);
    ASSERT_TRUE(Create(server_, [&](auto& r) { r.set_attribute(name); }).ok());
  }
  const grpc::Status full = Create(server_, spoilt);
  EXPECT_EQ(full.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(DetailOf(full).field(), "attribute");
  EXPECT_TRUE(Create(server_, [](auto& r) { r.set_attribute("a7"); }).ok()) << "in its place";
  const grpc::Status late = Create(server_, [&](auto& r) {
    spoilt(r);
    r.set_version(1);
  });
  EXPECT_EQ(late.error_code(), StatusCode::ABORTED);
}

TEST_F(LatentTest, OnlyTheLatestVersionGetsAnAttribute) {
  ASSERT_TRUE(Create(server_).ok());
  const grpc::Status late = Create(server_, [](auto& r) { r.set_version(1); });
  EXPECT_EQ(late.error_code(), StatusCode::ABORTED);
  EXPECT_EQ(DetailOf(late).field(), "version");
  v1::CreateAttributeVectorResponse created;
  ASSERT_TRUE(Create(
                  server_, [](auto& r) { r.set_attribute("dark"); }, &created)
                  .ok());
  EXPECT_EQ(created.version(), 3U);
  EXPECT_EQ(Describe(3).attributes_size(), 2) << "the version before had one";
}

v1::Matrix OneRow(double x, double y, double k, double u) { return MakeMatrix(1, 4, {x, y, k, u}); }

TEST(BadLatentInput, Complete) {
  const auto bad = [](const std::string& what, StatusCode code, const std::string& field,
                      const Spoil<v1::CompleteRequest>& spoil) {
    return BadCall{what, code, field, [spoil](auto& s) { return Complete(s, spoil); }};
  };
  const auto rows = [&](const std::string& what, const std::string& field, const v1::Matrix& m) {
    return bad(what, StatusCode::INVALID_ARGUMENT, field, [m](auto& r) { *r.mutable_rows() = m; });
  };
  constexpr auto kInvalid = StatusCode::INVALID_ARGUMENT;
  constexpr auto kTooMuch = StatusCode::RESOURCE_EXHAUSTED;
  ExpectRefused({
      rows("infinity", "rows", OneRow(NAN, INFINITY, 7, 0.5)),
      rows("infinity in a full row", "rows", OneRow(0, -INFINITY, 7, 0.5)),
      rows("a known value out of support", "rows", OneRow(NAN, 10, 7, 1.5)),
      rows("another constant", "rows", OneRow(NAN, 10, 8, 0.5)),
      rows("too few columns", "rows.cols", MakeMatrix(1, 3, {NAN, 10, 7})),
      bad("a ghost", StatusCode::NOT_FOUND, "name", [](auto& r) { r.set_name("ghost"); }),
      bad("one step", kInvalid, "steps", [](auto& r) { r.set_steps(1); }),
      bad("steps beyond int", kInvalid, "steps", [](auto& r) { r.set_steps(~0U); }),
      bad("draws beyond int", kInvalid, "draws", [](auto& r) { r.set_draws(~0U); }),
      bad("too much for one row", kTooMuch, "draws",
          [](auto& r) {
            r.set_draws(2000);
            r.set_steps(2000);
          }),
      bad("too long", kTooMuch, "steps", [](auto& r) { r.set_steps(100'000); }),
      bad("too many rows", kTooMuch, "rows.rows",
          [](auto& r) { *r.mutable_rows() = SmallRows(900); }),
      bad("more than a reply holds", kTooMuch, "rows.rows",
          [](auto& r) {
            r.set_steps(2);
            r.set_draws(90'000);
          }),
      bad("a superfluous context", kInvalid, "context",
          [](auto& r) { *r.mutable_context() = MakeMatrix(1, 1, {0}); }),
  });
}

TEST(BadLatentInput, CreateAttributeVector) {
  const auto bad = [](const std::string& what, StatusCode code, const std::string& field,
                      const Spoil<v1::CreateAttributeVectorRequest>& spoil) {
    return BadCall{what, code, field, [spoil](auto& s) { return Create(s, spoil); }};
  };
  constexpr auto kInvalid = StatusCode::INVALID_ARGUMENT;
  const auto vector = [&](const std::string& what, const std::string& field,
                          const Spoil<v1::CreateAttributeVectorRequest>& spoil) {
    return bad("a vector " + what, kInvalid, field, [spoil](auto& r) {
      r.clear_rows_with();
      r.clear_rows_without();
      for (const double v : {1.0, 0.0, -0.5}) r.add_vector(v);
      r.set_vector_rows_with(1);
      r.set_vector_rows_without(1);
      spoil(r);
    });
  };
  ExpectRefused({
      bad("no name", kInvalid, "attribute", [](auto& r) { r.clear_attribute(); }),
      bad("a long name", kInvalid, "attribute",
          [](auto& r) { r.set_attribute(std::string(65, 'a')); }),
      bad("a ghost", StatusCode::NOT_FOUND, "name", [](auto& r) { r.set_name("ghost"); }),
      bad("no rows with it", kInvalid, "rows_with.rows", [](auto& r) { r.clear_rows_with(); }),
      bad("no rows without", kInvalid, "rows_without.rows",
          [](auto& r) { r.clear_rows_without(); }),
      bad("NaN", kInvalid, "rows_without",
          [](auto& r) { *r.mutable_rows_without() = OneRow(NAN, 10, 7, 0.5); }),
      bad("a row out of support", kInvalid, "rows_with",
          [](auto& r) { *r.mutable_rows_with() = OneRow(0, 10, 7, 1.5); }),
      bad("too few columns", kInvalid, "rows_with.cols",
          [](auto& r) {
            *r.mutable_rows_with() = MakeMatrix(1, 3, {0, 10, 7});
          }),
      bad("a vector beside rows", kInvalid, "vector", [](auto& r) { r.add_vector(1); }),
      vector("beside other rows", "vector", [](auto& r) { *r.mutable_rows_with() = SmallRows(2); }),
      vector("beside a context", "vector",
             [](auto& r) { *r.mutable_context_with() = MakeMatrix(1, 1, {0}); }),
      vector("beside names", "vector", [](auto& r) { r.add_column_names("a"); }),
      vector("of another size", "vector", [](auto& r) { r.add_vector(1); }),
      vector("with infinity", "vector", [](auto& r) { r.set_vector(1, INFINITY); }),
      vector("of no rows", "vector_rows_with", [](auto& r) { r.set_vector_rows_with(0); }),
      vector("of -1 rows", "vector_rows_without",
             [](auto& r) { r.set_vector_rows_without(~0ULL); }),
      bad("a superfluous context", kInvalid, "context_without",
          [](auto& r) { *r.mutable_context_without() = MakeMatrix(1, 1, {0}); }),
  });
}

TEST(BadLatentInput, Manipulate) {
  const auto bad = [](const std::string& what, StatusCode code, const std::string& field,
                      const Spoil<v1::ManipulateRequest>& spoil) {
    return BadCall{what, code, field, [spoil](auto& s) { return Move(s, spoil); }};
  };
  constexpr auto kInvalid = StatusCode::INVALID_ARGUMENT;
  ExpectRefused({
      bad("an unknown attribute", StatusCode::NOT_FOUND, "attribute",
          [](auto& r) {
            r.clear_vector();
            r.set_attribute("bright");
          }),
      bad("neither", kInvalid, "attribute", [](auto& r) { r.clear_vector(); }),
      bad("both", kInvalid, "attribute", [](auto& r) { r.set_attribute("bright"); }),
      bad("a vector of the table's width", kInvalid, "vector", [](auto& r) { r.add_vector(1); }),
      bad("a vector with NaN", kInvalid, "vector", [](auto& r) { r.set_vector(1, NAN); }),
      bad("no amounts", kInvalid, "amounts", [](auto& r) { r.clear_amounts(); }),
      bad("an infinite amount", kInvalid, "amounts", [](auto& r) { r.add_amounts(INFINITY); }),
      bad("an amount too far", kInvalid, "amounts", [](auto& r) { r.add_amounts(1e300); }),
      bad("a missing value", kInvalid, "rows",
          [](auto& r) { *r.mutable_rows() = OneRow(NAN, 10, 7, 0.5); }),
      bad("a row out of support", kInvalid, "rows",
          [](auto& r) { *r.mutable_rows() = OneRow(0, 10, 7, 1.5); }),
      bad("more than a reply holds", StatusCode::RESOURCE_EXHAUSTED, "rows.rows",
          [](auto& r) {
            for (int i = 0; i < 20'000; ++i) r.add_amounts(0.1);
          }),
  });
}

}  // namespace
}  // namespace millrace
