// SPDX-License-Identifier: Apache-2.0
#include "client/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace millrace::client {
namespace {

using ::testing::ElementsAre;

TEST(ToMatrix, SendsAnyRangeBitForBit) {
  const Table table{{}, 3, 2, {1, 2, 3, -0.0, 0x1p-1074, 6}};
  const auto back = FromMatrix(ToMatrix(table, 1, 2));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->rows, 2);
  EXPECT_EQ(back->cols, 2);
  EXPECT_THAT(back->values, ElementsAre(3, 0, 0x1p-1074, 6));
  EXPECT_TRUE(std::signbit(back->values[1]));
}

TEST(FromMatrix, ReadsEveryEncoding) {
  v1::Matrix matrix;
  matrix.set_rows(1);
  matrix.set_cols(2);
  for (float value : {1.5f, 2.0f}) matrix.mutable_floats()->add_values(value);
  EXPECT_THAT(FromMatrix(matrix)->values, ElementsAre(1.5, 2));
  for (double value : {0.1, 2.0}) matrix.mutable_doubles()->add_values(value);
  EXPECT_THAT(FromMatrix(matrix)->values, ElementsAre(0.1, 2));
  matrix.set_raw_f32_le(std::string("\0\0\xc0\x3f\0\0\0\x40", 8));
  EXPECT_THAT(FromMatrix(matrix)->values, ElementsAre(1.5, 2));
}

TEST(FromMatrix, RefusesSizesThatContradictTheData) {
  v1::Matrix matrix;
  matrix.set_rows(1);
  matrix.set_cols(1);
  EXPECT_FALSE(FromMatrix(matrix).ok());  // no data
  matrix.set_raw_f64_le("1234567");
  EXPECT_FALSE(FromMatrix(matrix).ok());
  // 2^32 - 1 rows of 2^29 columns are 2^61 - 2^29 numbers, whose size in bytes wraps around 64
  // bits.
  matrix.set_rows(std::numeric_limits<std::uint32_t>::max());
  matrix.set_cols(1u << 29);
  matrix.set_raw_f64_le("");
  EXPECT_FALSE(FromMatrix(matrix).ok());
}

}  // namespace
}  // namespace millrace::client
