// SPDX-License-Identifier: Apache-2.0
#include "server/app/host_port.h"

#include "gtest/gtest.h"

namespace millrace {
namespace {

TEST(HostPort, TakesHostAndPortApart) {
  const auto v4 = ParseHostPort("127.0.0.1:50051");
  ASSERT_TRUE(v4.has_value());
  EXPECT_EQ(v4->host, "127.0.0.1");
  EXPECT_EQ(v4->port, 50051);
  const auto v6 = ParseHostPort("[::1]:0");
  ASSERT_TRUE(v6.has_value());
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 0);
  EXPECT_TRUE(ParseHostPort("localhost:65535").has_value());
}

TEST(HostPort, TakesNothingElse) {
  for (const char* text : {"", "nonsense", ":1", "host:", "host:65536", "host:99999999999",
                           "host:-1", "host:+1", "host: 1", "ho st:1", "host:1s", "::1", "::1:5",
                           "[::1]", "[::1:5", "[]:5", "[[::1]]:5", "unix:/socket", "a:1,b:2"}) {
    EXPECT_FALSE(ParseHostPort(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace millrace
