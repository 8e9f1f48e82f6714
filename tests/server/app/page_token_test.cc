// SPDX-License-Identifier: Apache-2.0
#include "server/app/page_token.h"

#include <string>

#include "core/base/error_detail.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

TEST(PageToken, ComesBackForTheSameFilter) {
  for (const std::string& filter : {std::string(), std::string("moons")}) {
    const auto position = DecodePageToken(filter, EncodePageToken(filter, {"moons", 12}));
    ASSERT_TRUE(position.ok()) << position.status();
    EXPECT_EQ(position->name, "moons");
    EXPECT_EQ(position->version, 12U);
  }
}

TEST(PageToken, RefusesWhatItHasNotMade) {
  const std::string good = EncodePageToken("", {"moons", 12});
  for (const std::string& token :
       {std::string("!"), std::string("bW9vbnM"), good + "AAAA", std::string(5000, 'A'),
        EncodePageToken("", {"../x", 1}), EncodePageToken("other", {"moons", 1})}) {
    const auto position = DecodePageToken("", token);
    EXPECT_TRUE(absl::IsInvalidArgument(position.status())) << token;
    EXPECT_EQ(DetailOf(position.status()).field, "page_token");
  }
}

}  // namespace
}  // namespace millrace
