// SPDX-License-Identifier: Apache-2.0
#include "core/score/attribute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/cpu/cpu_backend.h"
#include "core/io/model_file.h"
#include "core/math/uniform.h"
#include "tests/support/random_parameters.h"

namespace millrace {
namespace {

using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Columns "a" and "b" (bounded below by 0) under the condition "c".
std::shared_ptr<Model> SmallModel() {
  auto model = std::make_shared<Model>();
  model->columns = *ColumnModel::FromColumns(
      {{.name = "a", .center = 10.0, .scale = 4.0}, {.name = "b", .lower = 0.0}});
  model->context = *ContextModel::FromConditions(
      {{.name = "c", .position = 2, .mean = 1.0, .deviation = 2.0}}, model->columns);
  model->spec.dim = 2;
  model->spec.context_dim = 1;
  model->spec.stack = StackSpec{.layers = 2, .hidden_sizes = {8, 8}};
  model->parameters = AsFloats(RandomParameters(**Flow::Create(model->spec), 4));
  return model;
}

class AttributeTest : public testing::Test {
 protected:
  AttributeTest() : with_(30, 2), without_(40, 2), context_(30, 1), one_(1, 1) {
    for (int r = 0; r < 40; ++r) {
      if (r < 30) with_(r, 0) = 12 + 4 * UniformAt(1, 1, r, 0);
      if (r < 30) with_(r, 1) = 1 + UniformAt(1, 1, r, 1);
      if (r < 30) context_(r, 0) = 2 * UniformAt(1, 1, r, 4);
      without_(r, 0) = 4 + 4 * UniformAt(1, 1, r, 2);
      without_(r, 1) = 0.2 + UniformAt(1, 1, r, 3);
    }
    one_(0, 0) = 0.5;
  }
  absl::StatusOr<AttributeVector> Compute(const std::string& name = "tall") const {
    return ComputeAttribute(*density_, name, {with_.view(), context_.view()},
                            {without_.view(), one_.view()}, {});
  }

  const std::unique_ptr<Backend> backend_ = CreateCpuBackend({.threads = 2});
  const std::shared_ptr<Model> model_ = SmallModel();
  const std::unique_ptr<const Density> density_ = *Density::Create(model_, *backend_);
  Rows<double> with_, without_, context_, one_;
};

TEST_F(AttributeTest, IsTheDifferenceOfTheMeanLatentPoints) {
  const auto attribute = Compute();
  ASSERT_TRUE(attribute.ok()) << attribute.status();
  EXPECT_EQ(attribute->name, "tall");
  EXPECT_EQ(attribute->rows_with, 30);
  EXPECT_EQ(attribute->rows_without, 40);
  const Rows<double> with = *density_->Encode(with_.view(), {}, context_.view());
  const Rows<double> without = *density_->Encode(without_.view(), {}, one_.view());
  for (int c = 0; c < 2; ++c) {
    double expected = 0.0;
    for (int r = 0; r < 30; ++r) expected += with(r, c) / 30;
    for (int r = 0; r < 40; ++r) expected -= without(r, c) / 40;
    EXPECT_NEAR(attribute->vector[c], expected, 1e-12);
  }
}

TEST_F(AttributeTest, ManipulateMovesLatentPointsAndScoresTheRows) {
  const AttributeVector attribute = *Compute();
  const std::vector<double> amounts = {-1.0, 0.0, 0.5};
  const auto moved =
      Manipulate(*density_, with_.view(), attribute.vector, amounts, {}, context_.view());
  ASSERT_TRUE(moved.ok()) << moved.status();
  ASSERT_EQ(moved->rows.rows(), 90);
  const Rows<double> before = *density_->Encode(with_.view(), {}, context_.view());
  for (int r = 0; r < 30; ++r) {
    const auto here = context_.view().Slice(r, 1);
    for (int a = 0; a < 3; ++a) {
      const auto row = moved->rows.view().Slice(3 * r + a, 1);
      const Rows<double> after = *density_->Encode(row, {}, here);
      for (int c = 0; c < 2; ++c)
        EXPECT_NEAR(after(0, c), before(r, c) + amounts[a] * attribute.vector[c], 1e-3);
      EXPECT_EQ(moved->log_prob[3 * r + a], density_->LogProb(row, {}, here)->log_prob[0]);
      EXPECT_FALSE(moved->out_of_support[3 * r + a]);
    }
    for (int c = 0; c < 2; ++c) EXPECT_NEAR(moved->rows(3 * r + 1, c), with_(r, c), 1e-3);
  }
}

TEST_F(AttributeTest, IsStoredWithTheModel) {
  Model model = *model_;
  ASSERT_TRUE(AddAttribute(*Compute("tall"), model).ok());
  ASSERT_TRUE(AddAttribute(*Compute("wide \xc3\xa9"), model).ok());
  AttributeVector other = *Compute("tall");
  other.vector[0] += 1.0;
  ASSERT_TRUE(AddAttribute(other, model).ok());
  ASSERT_EQ(model.attributes.size(), 2U) << "one of a name takes the other's place";
  const auto loaded = DecodeModel(*EncodeModel(model));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->attributes, model.attributes);
  EXPECT_EQ(**FindAttribute(*loaded, "tall"), other);
  const absl::Status unknown = FindAttribute(*loaded, "small").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(DetailOf(unknown).field, "attribute");
  EXPECT_THAT(DetailOf(unknown).expected, HasSubstr("'tall'"));
  EXPECT_FALSE(FindAttribute(*model_, "tall").ok());
}

TEST_F(AttributeTest, FilesWithBadAttributesAreRefused) {
  const auto code = [&](auto spoil) {
    Model model = *model_;
    model.attributes = {*Compute("tall"), *Compute("wide")};
    spoil(model.attributes[1]);
    return EncodeModel(model).status().code();
  };
  EXPECT_EQ(code([](AttributeVector&) {}), absl::StatusCode::kOk);
  constexpr auto kBad = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code([](AttributeVector& a) { a.name = "tall"; }), kBad);
  EXPECT_EQ(code([](AttributeVector& a) { a.name = ""; }), kBad);
  EXPECT_EQ(code([](AttributeVector& a) { a.name = "\xff"; }), kBad);
  EXPECT_EQ(code([](AttributeVector& a) { a.vector.push_back(0.0); }), kBad);
  EXPECT_EQ(code([](AttributeVector& a) { a.vector[0] = kInfinity; }), kBad);
  EXPECT_EQ(code([](AttributeVector& a) { a.rows_with = 0; }), kBad);
}

TEST_F(AttributeTest, AModelHoldsSoMany) {
  Model model = *model_;
  AttributeVector attribute = *Compute();
  for (int i = 0; i < AttributeVector::kMaxOfModel; ++i) {
    attribute.name = absl::StrCat("a", i);
    ASSERT_TRUE(AddAttribute(attribute, model).ok());
  }
  EXPECT_TRUE(AddAttribute(attribute, model).ok());
  attribute.name = "more";
  EXPECT_EQ(AddAttribute(attribute, model).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(AttributeTest, WhatIsWrongIsNamed) {
  EXPECT_EQ(DetailOf(Compute("").status()).field, "attribute");
  EXPECT_EQ(DetailOf(Compute(std::string(65, 'a')).status()).field, "attribute");
  without_(7, 1) = std::nan("");
  const ErrorDetail bad = DetailOf(Compute().status());
  EXPECT_EQ(bad.field, "rows_without");
  EXPECT_EQ(bad.row, 7);
  EXPECT_EQ(bad.column, 1);
  with_(3, 1) = -1.0;
  EXPECT_EQ(DetailOf(Compute().status()).field, "rows_with") << "out of support";
  with_(3, 1) = 1.0;
  const Rows<double> none(0, 2);
  EXPECT_EQ(DetailOf(ComputeAttribute(*density_, "a", {with_.view(), one_.view()},
                                      {none.view(), one_.view()}, {})
                         .status())
                .field,
            "rows_without");
  EXPECT_EQ(DetailOf(ComputeAttribute(*density_, "a", {with_.view(), {}}, {}, {}).status()).field,
            "context_with");
}

TEST_F(AttributeTest, WhatIsWrongWithAMoveIsNamed) {
  const std::vector<double> direction = {1.0, 1.0};
  const auto fault = [&](std::vector<double> along, std::vector<double> by) {
    return DetailOf(Manipulate(*density_, with_.view(), along, by, {}, context_.view()).status());
  };
  EXPECT_EQ(fault({1.0}, {1.0}).field, "vector");
  EXPECT_EQ(fault({1.0, kInfinity}, {1.0}).field, "vector");
  EXPECT_EQ(fault(direction, {}).field, "amounts");
  EXPECT_EQ(fault(direction, {0.0, std::nan("")}).row, 1);
  const ErrorDetail far = fault(direction, {0.0, 1e300});
  EXPECT_EQ(far.field, "amounts");
  EXPECT_EQ(far.row, 1);
  with_(2, 0) = kInfinity;
  EXPECT_EQ(fault(direction, {1.0}).row, 2);
}

TEST_F(AttributeTest, StopsWhenAsked) {
  std::stop_source source;
  source.request_stop();
  EXPECT_EQ(ComputeAttribute(*density_, "a", {with_.view(), one_.view()},
                             {without_.view(), one_.view()}, source.get_token())
                .status()
                .code(),
            absl::StatusCode::kCancelled);
  const std::vector<double> direction = {1.0, 1.0}, amounts = {1.0};
  EXPECT_EQ(Manipulate(*density_, with_.view(), direction, amounts, source.get_token(), one_.view())
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace millrace
