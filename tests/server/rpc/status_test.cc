// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/status.h"

#include <string>

#include "core/base/error_detail.h"
#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

TEST(Status, KeepsCodeAndMessage) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status =
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "why");
    EXPECT_EQ(DetailOf(status).field(), "");
  }
}

TEST(Status, CarriesTheDetail) {
  const absl::Status status = MakeError(
      absl::StatusCode::kInvalidArgument,
      {.field = "rows", .row = 3, .column = 0, .value = "nan", .expected = "a finite number"});
  EXPECT_EQ(status.message(), "rows, row 3, column 0: nan; expected a finite number");
  const v1::ErrorDetail detail = DetailOf(ToGrpcStatus(status));
  EXPECT_EQ(detail.field(), "rows");
  EXPECT_EQ(detail.row(), 3U);
  EXPECT_TRUE(detail.has_column());
  EXPECT_EQ(detail.column(), 0U);
  EXPECT_EQ(detail.value(), "nan");
  EXPECT_EQ(detail.expected(), "a finite number");
}

TEST(Status, CutsLongMessagesBetweenCharacters) {
  std::string message(1023, 'a');
  for (int i = 0; i < 100; ++i) message += "ä";
  EXPECT_EQ(ToGrpcStatus(absl::InternalError(message)).error_message(),
            std::string(1023, 'a') + "...");
}

TEST(Status, EscapesAndCutsTheValue) {
  const absl::Status status =
      InvalidArgument("name", std::string("a\0\n\xff", 4) + std::string(500, 'x'), "");
  const std::string value = DetailOf(ToGrpcStatus(status)).value();
  EXPECT_EQ(value.substr(0, 12), "a\\x00\\n\\xffx");
  EXPECT_EQ(value.size(), 64U);
}

TEST(Status, DefaultFieldLeavesAKnownOneAlone) {
  const absl::Status plain = WithDefaultField(absl::InvalidArgumentError("?"), "rows");
  EXPECT_EQ(DetailOf(plain).field, "rows");
  EXPECT_EQ(DetailOf(WithDefaultField(InvalidArgument("steps", "1", "2"), "rows")).field, "steps");
  EXPECT_EQ(DetailOf(WithDefaultField(absl::InternalError("?"), "rows")).field, "");
}

}  // namespace
}  // namespace millrace
