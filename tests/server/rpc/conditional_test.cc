// SPDX-License-Identifier: Apache-2.0
// Good questions to a conditional model, against the core asked directly.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/io/model_file.h"
#include "core/score/attribute.h"
#include "core/score/density.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/support/conditional_model.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;

void AddModel(Config& config) {
  const std::string folder = config.model_dir + "/given/1";
  std::filesystem::create_directories(folder);
  EXPECT_TRUE(SaveModel(ConditionalModel(), folder + "/model.safetensors").ok());
}

std::vector<double> Values(const v1::Matrix& matrix) {
  std::vector<double> values(matrix.raw_f64_le().size() / sizeof(double));
  std::memcpy(values.data(), matrix.raw_f64_le().data(), matrix.raw_f64_le().size());
  return values;
}

RowsView<const double> View(const std::vector<double>& values, int cols) {
  return {values.data(), static_cast<std::int64_t>(values.size()) / cols, cols};
}

std::vector<double> ValuesOf(const Rows<double>& rows) {
  return {rows.data(), rows.data() + rows.rows() * rows.cols()};
}

template <typename Field>
std::vector<double> Doubles(const Field& field) {
  return {field.begin(), field.end()};
}

class ConditionalTest : public testing::Test {
 protected:
  template <typename Request>
  static Request RequestFor(const std::vector<double>& context) {
    Request request;
    request.set_name("given");
    *request.mutable_context() =
        MakeMatrix(static_cast<std::uint32_t>(context.size() / 2), 2, context);
    return request;
  }

  InProcessServer server_{AddModel};
  const std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 1});
  const std::unique_ptr<const Density> density_ =
      *Density::Create(std::make_shared<Model>(ConditionalModel()), *backend_);
  const std::vector<double> rows_ = Values(SmallRows(3));
  const std::vector<double> context_ = {0.5, 2, -3, 5, 4, 1};  // of three rows
};

TEST_F(ConditionalTest, LogProbIsTheCoresUnderEachRowsCondition) {
  auto request = RequestFor<v1::LogProbRequest>(context_);
  *request.mutable_rows() = SmallRows(3);
  const auto ask = [&] {
    v1::LogProbResponse response;
    grpc::ClientContext context;
    const grpc::Status status = server_.density().LogProb(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return Doubles(response.log_prob());
  };
  const std::vector<double> expected =
      density_->LogProb(View(rows_, 4), {}, View(context_, 2))->log_prob;
  EXPECT_EQ(ask(), expected);

  // Matched by name.
  *request.mutable_context() = MakeMatrix(3, 2, {2, 0.5, 5, -3, 1, 4});
  for (const char* name : {"label", "c"}) request.add_context_column_names(name);
  EXPECT_EQ(ask(), expected);

  // One for all, in single precision.
  request.clear_context_column_names();
  request.mutable_context()->set_rows(1);
  const float one[] = {0.5f, 2.0f};
  request.mutable_context()->set_raw_f32_le(one, sizeof one);
  EXPECT_EQ(ask(), density_->LogProb(View(rows_, 4), {}, View(context_, 2).Slice(0, 1))->log_prob);
}

TEST_F(ConditionalTest, ScoreIsTheCores) {
  auto request = RequestFor<v1::ScoreRequest>(context_);
  *request.mutable_rows() = SmallRows(3);
  request.set_contributions(v1::CONTRIBUTIONS_CONDITIONAL);
  v1::ScoreResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.density().Score(&context, request, &response).ok());
  const auto expected = density_->Score(
      View(rows_, 4), {.contributions = Contributions::kConditional}, {}, View(context_, 2));
  EXPECT_EQ(Doubles(response.tail_probability()), expected->tail_probability);
  EXPECT_EQ(Values(response.contributions()), ValuesOf(expected->contributions));
  EXPECT_THAT(response.contribution_column_names(), ElementsAre("x", "y", "k", "u"));
}

TEST_F(ConditionalTest, EncodesAndDecodesUnderEachRowsCondition) {
  auto encode = RequestFor<v1::EncodeRequest>(context_);
  *encode.mutable_rows() = SmallRows(3);
  v1::EncodeResponse latents;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.density().Encode(&context, encode, &latents).ok());
  EXPECT_EQ(Values(latents.latents()),
            ValuesOf(*density_->Encode(View(rows_, 4), {}, View(context_, 2))));

  auto decode = RequestFor<v1::DecodeRequest>(context_);
  *decode.mutable_latents() = latents.latents();
  v1::DecodeResponse decoded;
  grpc::ClientContext decode_context;
  ASSERT_TRUE(server_.density().Decode(&decode_context, decode, &decoded).ok());
  for (std::size_t i = 0; i < rows_.size(); ++i)
    EXPECT_NEAR(Values(decoded.rows())[i], rows_[i], 1e-4);
}

TEST_F(ConditionalTest, CompletesUnderEachRowsCondition) {
  const std::vector<double> holes = {0.2, NAN, 7, NAN, 0.2, NAN, 7, NAN, NAN, NAN, NAN, NAN};
  auto request = RequestFor<v1::CompleteRequest>(context_);
  *request.mutable_rows() = MakeMatrix(3, 4, holes);
  for (const int draws : {0, 2}) {
    request.set_draws(draws);
    request.set_steps(40);
    v1::CompleteResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(server_.density().Complete(&context, request, &response).ok());
    const std::vector<double> rows = Values(response.rows());
    for (std::uint64_t r = 0; r < 3; ++r) {
      const auto alone = static_cast<std::int64_t>(r);
      const Completions expected = *density_->Complete(
          View(holes, 4).Slice(alone, 1), {.draws = draws, .steps = 40, .first_row = r}, {},
          View(context_, 2).Slice(alone, 1));
      const std::vector<double> values = ValuesOf(expected.rows);
      EXPECT_TRUE(std::equal(values.begin(), values.end(),
                             rows.begin() + alone * static_cast<std::int64_t>(values.size())));
      EXPECT_EQ(response.log_prob(static_cast<int>(r) * std::max(draws, 1)), expected.log_prob[0]);
    }
    EXPECT_NE(rows[1], rows[4 * std::max(draws, 1) + 1]) << "the condition matters";
  }
}

TEST_F(ConditionalTest, MovesAlongAnAttributeUnderEachRowsCondition) {
  v1::CreateAttributeVectorRequest create;
  create.set_name("given");
  create.set_attribute("bright");
  *create.mutable_rows_with() = SmallRows(3);
  *create.mutable_context_with() = MakeMatrix(3, 2, context_);
  *create.mutable_rows_without() = SmallRows(2);
  *create.mutable_context_without() = MakeMatrix(1, 2, {0, 1});
  v1::CreateAttributeVectorResponse created;
  grpc::ClientContext create_context;
  const grpc::Status status =
      server_.density().CreateAttributeVector(&create_context, create, &created);
  ASSERT_TRUE(status.ok()) << status.error_message();
  auto request = RequestFor<v1::ManipulateRequest>(context_);
  *request.mutable_rows() = SmallRows(3);
  request.set_attribute("bright");
  request.add_amounts(0.5);
  v1::ManipulateResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.density().Manipulate(&context, request, &response).ok());
  const std::vector<double> vector = Doubles(created.attribute().vector());
  const std::vector<double> amounts = {0.5};
  const MovedRows expected =
      *Manipulate(*density_, View(rows_, 4), vector, amounts, {}, View(context_, 2));
  EXPECT_EQ(Values(response.rows()), ValuesOf(expected.rows));
  EXPECT_EQ(Doubles(response.log_prob()), expected.log_prob);
}

TEST_F(ConditionalTest, WalksUnderOneCondition) {
  auto request = RequestFor<v1::InterpolateRequest>({0.5, 2});
  *request.mutable_rows() = SmallRows(2);
  request.set_steps(4);
  v1::InterpolateResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.density().Interpolate(&context, request, &response).ok());
  const auto rows = View(rows_, 4);
  const auto expected = density_->Interpolate(rows.Slice(0, 1), rows.Slice(1, 1), {.steps = 4}, {},
                                              View(context_, 2).Slice(0, 1));
  EXPECT_EQ(Values(response.path()), ValuesOf(expected->rows));
  EXPECT_EQ(Doubles(response.log_prob()), expected->log_prob);
}

TEST_F(ConditionalTest, DrawsCountRowsUnderEachConditionInOrder) {
  auto request = RequestFor<v1::SampleRequest>(context_);
  request.set_count(4);
  request.set_seed(6);
  request.set_chunk_rows(5);
  grpc::ClientContext context;
  const auto stream = server_.density().Sample(&context, request);
  std::vector<double> drawn;
  v1::SampleResponse chunk;
  while (stream->Read(&chunk)) {
    EXPECT_EQ(chunk.first_row(), drawn.size() / 4);
    for (const double value : Values(chunk.rows())) drawn.push_back(value);
  }
  ASSERT_TRUE(stream->Finish().ok());
  std::vector<double> repeated;
  for (int i = 0; i < 12; ++i)
    repeated.insert(repeated.end(), {context_[i / 4 * 2], context_[i / 4 * 2 + 1]});
  EXPECT_EQ(drawn, ValuesOf(*density_->Sample(6, 0, 12, 1.0, {}, View(repeated, 2))));
}

TEST_F(ConditionalTest, IsDescribedInTheOrderOfTheTable) {
  v1::GetModelRequest request;
  request.set_name("given");
  v1::GetModelResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.models().GetModel(&context, request, &response).ok());
  const auto& columns = response.model().columns();
  std::vector<std::string> names, conditions;
  for (const v1::Column& column : columns) {
    names.push_back(column.spec().name());
    if (column.spec().role() == v1::COLUMN_ROLE_CONDITION) conditions.push_back(names.back());
  }
  EXPECT_THAT(names, ElementsAre("c", "x", "y", "label", "k", "u"));
  EXPECT_THAT(conditions, ElementsAre("c", "label"));
  EXPECT_EQ(columns[1].spec().role(), v1::COLUMN_ROLE_FEATURE);
  EXPECT_EQ(columns[0].spec().type(), v1::COLUMN_TYPE_CONTINUOUS);
  EXPECT_EQ(columns[0].mean(), 1.0);
  EXPECT_EQ(columns[0].standard_deviation(), 2.0);
  EXPECT_EQ(columns[3].spec().type(), v1::COLUMN_TYPE_CATEGORICAL);
  EXPECT_THAT(columns[3].categories(), ElementsAre(1, 2, 5));
  EXPECT_EQ(response.model().latent_dim(), 3U);
}

TEST_F(ConditionalTest, IsTrainedOnATableWithMarkedColumns) {
  v1::TrainSpec spec = QuickSpec("trained");
  for (const char* name : {"c", "x"}) spec.add_columns()->set_name(name);
  spec.mutable_columns(0)->set_role(v1::COLUMN_ROLE_CONDITION);
  const grpc::Status status = Train(server_.density(), TrainMessages(spec, {QuickTable()}));
  ASSERT_TRUE(status.ok()) << status.error_message();
  v1::LogProbRequest request;
  request.set_name("trained");
  *request.mutable_rows() = MakeMatrix(2, 1, {0.1, 0.2});
  *request.mutable_context() = MakeMatrix(1, 1, {0.3});
  v1::LogProbResponse response;
  grpc::ClientContext context;
  EXPECT_TRUE(server_.density().LogProb(&context, request, &response).ok());
  EXPECT_EQ(response.log_prob_size(), 2);
}

}  // namespace
}  // namespace millrace
