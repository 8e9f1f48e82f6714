// SPDX-License-Identifier: Apache-2.0
#include "core/math/philox.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace millrace {
namespace {

using Words = std::array<std::uint32_t, 4>;

// The known answers of Random123 1.14 (tests/kat_vectors, philox4x32 with 10 rounds).
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox4x32::Generate({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32::Generate({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                                 {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32::Generate({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                                 {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, UniformNumbersLieInsideTheOpenInterval) {
  EXPECT_GT(UniformOpen(0, 0), 0.0);
  EXPECT_LT(UniformOpen(0xffffffff, 0xffffffff), 1.0);
  EXPECT_NEAR(UniformOpen(0x80000000, 0), 0.5, 1e-15);
  EXPECT_LT(UniformOpen(1, 0xffffffff), UniformOpen(2, 0));
}

}  // namespace
}  // namespace millrace
