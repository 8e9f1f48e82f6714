// SPDX-License-Identifier: Apache-2.0
// What other programs rely on byte for byte.
#include <gtest/gtest.h>

#include <string>

#include "millrace/v1/error.pb.h"
#include "millrace/v1/matrix.pb.h"

namespace {

// google.rpc.Status is {int32 code = 1; string message = 2; repeated google.protobuf.Any details =
// 3;}.
TEST(ErrorStatus, HasTheLayoutOfGoogleRpcStatus) {
  millrace::v1::ErrorStatus status;
  status.set_code(3);
  status.set_message("no");
  millrace::v1::ErrorDetail detail;
  detail.set_field("rows");
  ASSERT_TRUE(status.add_details()->PackFrom(detail));
  const std::string url = "type.googleapis.com/millrace.v1.ErrorDetail";
  const std::string any =
      std::string("\x0a") + static_cast<char>(url.size()) + url + "\x12\x06\x0a\x04rows";
  const std::string expected =
      std::string("\x08\x03\x12\x02no\x1a") + static_cast<char>(any.size()) + any;
  EXPECT_EQ(status.SerializeAsString(), expected);
}

// A message per number would cost an order of magnitude: 8 bytes a number and a few for the frame.
TEST(Matrix, NumbersArePacked) {
  millrace::v1::Matrix matrix;
  matrix.set_rows(100);
  matrix.set_cols(10);
  for (int i = 0; i < 1000; ++i) matrix.mutable_doubles()->add_values(i);
  EXPECT_LE(matrix.ByteSizeLong(), 8000u + 16u);
  for (int i = 0; i < 1000; ++i) matrix.mutable_floats()->add_values(static_cast<float>(i));
  EXPECT_LE(matrix.ByteSizeLong(), 4000u + 16u);
}

}  // namespace
