// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/matrix.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/base/error_detail.h"
#include "gtest/gtest.h"
#include "millrace/v1/density_messages.pb.h"

namespace millrace {
namespace {

constexpr Limits kLimits{.max_message_bytes = 1 << 20, .max_columns = 100};

absl::Status Check(const v1::Matrix& matrix) {
  return CheckMatrix(matrix, "rows", 1000, "max_request_rows", kLimits);
}

v1::Matrix Shape(std::uint32_t rows, std::uint32_t cols) {
  v1::Matrix matrix;
  matrix.set_rows(rows);
  matrix.set_cols(cols);
  return matrix;
}

std::vector<double> Read(const v1::Matrix& matrix) {
  EXPECT_TRUE(Check(matrix).ok()) << Check(matrix);
  std::vector<double> out(std::size_t{matrix.rows()} * matrix.cols());
  const absl::Status status = ReadMatrix(matrix, "rows", 0, out);
  EXPECT_TRUE(status.ok()) << status;
  const NumberRows view = ViewOf(matrix);
  EXPECT_EQ(view.rows, matrix.rows());
  EXPECT_EQ(view.cols, static_cast<int>(matrix.cols()));
  for (std::size_t i = 0; i < out.size(); ++i)
    EXPECT_EQ(
        view(static_cast<std::int64_t>(i / matrix.cols()), static_cast<int>(i % matrix.cols())),
        out[i]);
  return out;
}

TEST(Matrix, ReadsEveryEncoding) {
  const std::vector<double> values = {1, -2.5, 3e5, 0, 0.5, -0.25};
  const std::vector<float> floats(values.begin(), values.end());
  v1::Matrix matrix = Shape(2, 3);
  matrix.mutable_doubles()->mutable_values()->Assign(values.begin(), values.end());
  EXPECT_EQ(Read(matrix), values);
  matrix.mutable_floats()->mutable_values()->Assign(floats.begin(), floats.end());
  EXPECT_EQ(Read(matrix), values);
  matrix.set_raw_f32_le(floats.data(), floats.size() * sizeof(float));
  EXPECT_EQ(Read(matrix), values);
  matrix.set_raw_f64_le(values.data(), values.size() * sizeof(double));
  EXPECT_EQ(Read(matrix), values);
}

TEST(Matrix, WritesWhatItReads) {
  Rows<double> rows(2, 2);
  rows(0, 1) = 1.5;
  rows(1, 0) = -std::numeric_limits<double>::infinity();
  v1::Matrix matrix;
  WriteMatrix(rows.view(), &matrix);
  EXPECT_TRUE(Check(matrix).ok());
  EXPECT_EQ(matrix.raw_f64_le().size(), 32U);
  std::vector<double> out(4);
  EXPECT_TRUE(absl::IsInvalidArgument(ReadMatrix(matrix, "rows", 0, out)));
  EXPECT_EQ(out[1], 1.5);
}

TEST(Matrix, IsWrittenWhereItStands) {
  v1::ScoreResponse response;
  v1::Matrix* const matrix = response.mutable_contributions();
  for (const std::int64_t n : {3, 1}) {  // a message that is used again
    const RowsView<double> rows = NewMatrix(n, 2, matrix);
    ASSERT_EQ(rows.rows, n);
    ASSERT_EQ(rows.cols, 2);
    for (int c = 0; c < 2; ++c) rows(n - 1, c) = 1.5 + c;
    EXPECT_EQ(static_cast<std::int64_t>(Read(*matrix).size()), 2 * n);
    EXPECT_EQ(Read(*matrix).back(), 2.5);
    NewValues(n, response.mutable_log_prob())[n - 1] = -3.5;
    NewFlags(n, response.mutable_is_anomaly())[n - 1] = 1;
  }
  v1::ScoreResponse received;
  ASSERT_TRUE(received.ParseFromString(response.SerializeAsString()));
  ASSERT_EQ(received.log_prob_size(), 1);
  EXPECT_EQ(received.log_prob(0), -3.5);
  ASSERT_EQ(received.is_anomaly_size(), 1);
  EXPECT_TRUE(received.is_anomaly(0));
}

TEST(Matrix, RefusesAShapeThatLies) {
  const auto field = [](const absl::Status& status) { return DetailOf(status).field; };
  EXPECT_EQ(field(Check(Shape(0, 3))), "rows.rows");
  EXPECT_EQ(field(Check(Shape(3, 0))), "rows.cols");
  EXPECT_EQ(field(Check(Shape(3, 3))), "rows.data");
  for (const std::size_t bytes : {0U, 1U, 23U, 25U, 24U * 2 + 1}) {
    v1::Matrix matrix = Shape(1, 3);
    matrix.set_raw_f64_le(std::string(bytes, '\0'));
    EXPECT_TRUE(absl::IsInvalidArgument(Check(matrix))) << bytes;
    EXPECT_EQ(field(Check(matrix)), "rows.raw_f64_le");
    matrix.set_raw_f32_le(std::string(bytes, '\0'));
    EXPECT_EQ(field(Check(matrix)), "rows.raw_f32_le");
  }
  v1::Matrix matrix = Shape(2, 2);
  matrix.mutable_doubles()->add_values(1);
  EXPECT_EQ(field(Check(matrix)), "rows.doubles");
  matrix.mutable_floats()->add_values(1);
  EXPECT_EQ(field(Check(matrix)), "rows.floats");
}

TEST(Matrix, HugeShapesAreRefusedWithoutMemory) {
  constexpr std::uint32_t kHuge = std::numeric_limits<std::uint32_t>::max();
  EXPECT_TRUE(absl::IsResourceExhausted(Check(Shape(kHuge, kHuge))));
  EXPECT_TRUE(absl::IsResourceExhausted(Check(Shape(1, 101))));
  EXPECT_TRUE(absl::IsResourceExhausted(Check(Shape(1001, 1))));
  // 2^32 * 2^32 elements are 0 modulo 2^64: a product that overflowed would match no bytes at all.
  v1::Matrix matrix = Shape(1U << 31, 1U << 31);
  matrix.set_raw_f64_le("");
  const absl::Status status = CheckMatrix(matrix, "rows", kHuge, "max_request_rows", kLimits);
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(DetailOf(status).field, "rows.cols");
  EXPECT_NE(status.message().find("--max_columns"), absl::string_view::npos);
}

TEST(Matrix, NamesTheNumberThatIsNotFinite) {
  const double bad[] = {std::nan(""), INFINITY, -INFINITY};
  for (const double value : bad) {
    v1::Matrix matrix = Shape(3, 2);
    const std::vector<double> values = {0, 1, 2, value, 4, 5};
    matrix.mutable_doubles()->mutable_values()->Assign(values.begin(), values.end());
    std::vector<double> out(6);
    const absl::Status status = ReadMatrix(matrix, "chunk", 100, out);
    const ErrorDetail detail = DetailOf(status);
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_EQ(detail.field, "chunk");
    EXPECT_EQ(detail.row, 101);
    EXPECT_EQ(detail.column, 1);
    EXPECT_EQ(detail.expected, "a finite number");
  }
}

TEST(Matrix, AReplyMustFitAMessage) {
  EXPECT_TRUE(CheckReplySize(1000, 100, "steps", kLimits).ok());
  const absl::Status status = CheckReplySize(2000, 100, "steps", kLimits);
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(DetailOf(status).field, "steps");
}

}  // namespace
}  // namespace millrace
