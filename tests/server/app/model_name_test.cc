// SPDX-License-Identifier: Apache-2.0
#include "server/app/model_name.h"

#include <string>

#include "core/base/error_detail.h"
#include "gtest/gtest.h"

namespace millrace {
namespace {

TEST(ModelName, TakesWhatThePatternTakes) {
  for (const std::string& name :
       {std::string("a"), std::string("moons"), std::string("a-b-9"), std::string(63, 'z')}) {
    EXPECT_TRUE(IsValidModelName(name)) << name;
    EXPECT_TRUE(CheckModelName(name).ok()) << name;
  }
}

TEST(ModelName, RefusesEverythingElse) {
  const std::string bad[] = {"",
                             "-a",
                             "a-",
                             "9a",
                             "A",
                             "aB",
                             "a_b",
                             "a.b",
                             "..",
                             "../etc",
                             "a/b",
                             "a b",
                             " a",
                             "a\n",
                             std::string("a\0b", 3),
                             "ä",
                             std::string(64, 'z'),
                             std::string(10'000, 'a')};
  for (const std::string& name : bad) {
    EXPECT_FALSE(IsValidModelName(name)) << name;
    const absl::Status status = CheckModelName(name);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name;
    EXPECT_EQ(DetailOf(status).field, "name");
    EXPECT_LE(DetailOf(status).value.size(), 64U);
  }
}

}  // namespace
}  // namespace millrace
