// SPDX-License-Identifier: Apache-2.0
// Good questions through real calls, against the core asked directly.

#include "core/score/density.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"
#include "tests/server/support/small_model.h"

namespace millrace {
namespace {

class DensityTest : public testing::Test {
 protected:
  static std::vector<double> Values(const v1::Matrix& matrix) {
    std::vector<double> values(matrix.raw_f64_le().size() / sizeof(double));
    std::memcpy(values.data(), matrix.raw_f64_le().data(), matrix.raw_f64_le().size());
    EXPECT_EQ(values.size(), std::size_t{matrix.rows()} * matrix.cols());
    return values;
  }

  static RowsView<const double> View(const std::vector<double>& values, int cols) {
    return {values.data(), static_cast<std::int64_t>(values.size()) / cols, cols};
  }

  std::vector<v1::SampleResponse> Sample(const v1::SampleRequest& request) {
    grpc::ClientContext context;
    const auto stream = server_.density().Sample(&context, request);
    std::vector<v1::SampleResponse> chunks;
    v1::SampleResponse chunk;
    while (stream->Read(&chunk)) chunks.push_back(chunk);
    const grpc::Status status = stream->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return chunks;
  }

  InProcessServer server_;
  grpc::ClientContext context_;
  const std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 1});
  const std::unique_ptr<const Density> density_ =
      *Density::Create(std::make_shared<Model>(SmallModel()), *backend_);
  const std::vector<double> rows_ = Values(SmallRows(20));
};

TEST_F(DensityTest, LogProbIsTheCoresBitForBit) {
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(20);
  v1::LogProbResponse response;
  ASSERT_TRUE(server_.density().LogProb(&context_, request, &response).ok());
  const auto expected = density_->LogProb(View(rows_, 4), {});
  EXPECT_EQ(std::vector<double>(response.log_prob().begin(), response.log_prob().end()),
            expected->log_prob);
  EXPECT_EQ(response.name(), "small");
  EXPECT_EQ(response.version(), 1U);
  EXPECT_EQ(response.out_of_support_size(), 20);
}

TEST_F(DensityTest, ColumnsAreMatchedByName) {
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = MakeMatrix(1, 4, {0.5, 7, 10.2, 0.3});
  for (const char* name : {"u", "k", "y", "x"}) request.add_column_names(name);
  v1::LogProbResponse response;
  ASSERT_TRUE(server_.density().LogProb(&context_, request, &response).ok());
  const std::vector<double> in_order = {0.3, 10.2, 7, 0.5};
  EXPECT_EQ(response.log_prob(0), density_->LogProb(View(in_order, 4), {})->log_prob[0]);
}

TEST_F(DensityTest, ARowOutsideTheSupportIsAnAnswer) {
  v1::ScoreRequest request;
  request.set_name("small");
  *request.mutable_rows() = MakeMatrix(3, 4, {0, 10, 7, 0.5, 0, 10, 8, 0.5, 0, 10, 7, 1.5});
  request.set_contributions(v1::CONTRIBUTIONS_CHAIN);
  v1::ScoreResponse response;
  ASSERT_TRUE(server_.density().Score(&context_, request, &response).ok());
  EXPECT_FALSE(response.out_of_support(0));
  for (const int r : {1, 2}) {
    EXPECT_TRUE(response.out_of_support(r));
    EXPECT_TRUE(response.is_anomaly(r));
    EXPECT_EQ(response.log_prob(r), -INFINITY);
    EXPECT_EQ(response.tail_probability(r), 1.0 / 100);
    EXPECT_TRUE(std::isnan(Values(response.contributions())[4 * r]));
  }
}

TEST_F(DensityTest, ScoreIsTheCores) {
  for (const auto contributions :
       {v1::CONTRIBUTIONS_NONE, v1::CONTRIBUTIONS_CHAIN, v1::CONTRIBUTIONS_CONDITIONAL}) {
    v1::ScoreRequest request;
    request.set_name("small");
    *request.mutable_rows() = SmallRows(20);
    request.set_false_positive_rate(0.2);
    request.set_contributions(contributions);
    v1::ScoreResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(server_.density().Score(&context, request, &response).ok());
    ScoreOptions options{.false_positive_rate = 0.2};
    if (contributions == v1::CONTRIBUTIONS_CHAIN) options.contributions = Contributions::kChain;
    if (contributions == v1::CONTRIBUTIONS_CONDITIONAL)
      options.contributions = Contributions::kConditional;
    const auto expected = density_->Score(View(rows_, 4), options, {});
    EXPECT_EQ(response.threshold(), expected->threshold);
    EXPECT_EQ(response.false_positive_rate(), 0.2);
    for (int r = 0; r < 20; ++r) {
      EXPECT_EQ(response.log_prob(r), expected->density.log_prob[r]);
      EXPECT_EQ(response.tail_probability(r), expected->tail_probability[r]);
      EXPECT_EQ(response.is_anomaly(r), expected->is_anomaly[r] != 0);
      EXPECT_EQ(response.is_anomaly(r), response.log_prob(r) < response.threshold());
    }
    EXPECT_EQ(response.has_contributions(), contributions != v1::CONTRIBUTIONS_NONE);
    if (!response.has_contributions()) continue;
    EXPECT_EQ(
        Values(response.contributions()),
        std::vector<double>(expected->contributions.data(), expected->contributions.data() + 80));
    EXPECT_EQ(response.contribution_column_names_size(), 4);
  }
}

TEST_F(DensityTest, SamplesAreTheSameHoweverTheyAreCut) {
  v1::SampleRequest request;
  request.set_name("small");
  request.set_count(2500);
  request.set_seed(7);
  std::vector<double> whole;
  for (const v1::SampleResponse& chunk : Sample(request)) {
    const std::vector<double> values = Values(chunk.rows());
    whole.insert(whole.end(), values.begin(), values.end());
  }
  EXPECT_EQ(whole.size(), 2500U * 4);
  request.set_chunk_rows(999);
  const std::vector<v1::SampleResponse> chunks = Sample(request);
  ASSERT_EQ(chunks.size(), 3U);
  std::vector<double> pieces;
  for (const v1::SampleResponse& chunk : chunks) {
    EXPECT_EQ(chunk.first_row(), pieces.size() / 4);
    EXPECT_EQ(chunk.name(), "small");
    EXPECT_EQ(chunk.version(), 1U);
    EXPECT_EQ(chunk.column_names_size(), chunk.first_row() == 0 ? 4 : 0);
    const std::vector<double> values = Values(chunk.rows());
    pieces.insert(pieces.end(), values.begin(), values.end());
  }
  EXPECT_EQ(pieces, whole);
  for (std::size_t r = 0; r < 2500; ++r) EXPECT_EQ(whole[4 * r + 2], 7.0);
  request.set_seed(8);
  EXPECT_NE(Values(Sample(request)[0].rows()), Values(chunks[0].rows()));
}

TEST_F(DensityTest, DecodeUndoesEncode) {
  v1::EncodeRequest encode;
  encode.set_name("small");
  *encode.mutable_rows() = SmallRows(20);
  v1::EncodeResponse latents;
  ASSERT_TRUE(server_.density().Encode(&context_, encode, &latents).ok());
  EXPECT_EQ(latents.latents().cols(), 3U);
  EXPECT_EQ(latents.version(), 1U);
  v1::DecodeRequest decode;
  decode.set_name("small");
  *decode.mutable_latents() = latents.latents();
  v1::DecodeResponse decoded;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.density().Decode(&context, decode, &decoded).ok());
  const std::vector<double> back = Values(decoded.rows());
  for (std::size_t i = 0; i < rows_.size(); ++i) EXPECT_NEAR(back[i], rows_[i], 1e-4);
  EXPECT_EQ(decoded.column_names(3), "u");
}

TEST_F(DensityTest, InterpolationBeginsAndEndsAtItsRows) {
  v1::InterpolateRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(2);
  request.set_steps(7);
  for (const auto method : {v1::INTERPOLATION_METHOD_LINEAR, v1::INTERPOLATION_METHOD_SPHERICAL}) {
    request.set_method(method);
    v1::InterpolateResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(server_.density().Interpolate(&context, request, &response).ok());
    EXPECT_EQ(response.path().rows(), 7U);
    EXPECT_EQ(response.log_prob_size(), 7);
    const std::vector<double> path = Values(response.path());
    for (int c = 0; c < 4; ++c) {
      EXPECT_NEAR(path[c], rows_[c], 1e-4);
      EXPECT_NEAR(path[6 * 4 + c], rows_[4 + c], 1e-4);
    }
  }
}

TEST_F(DensityTest, ManyCallersAtOnceGetTheSameBits) {
  v1::LogProbRequest request;
  request.set_name("small");
  *request.mutable_rows() = SmallRows(20);
  const std::vector<double> expected = density_->LogProb(View(rows_, 4), {})->log_prob;
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      for (int n = 0; n < 50; ++n) {
        grpc::ClientContext context;
        v1::LogProbResponse response;
        ASSERT_TRUE(server_.density().LogProb(&context, request, &response).ok());
        EXPECT_EQ(std::vector<double>(response.log_prob().begin(), response.log_prob().end()),
                  expected);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace millrace
