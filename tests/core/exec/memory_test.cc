// SPDX-License-Identifier: Apache-2.0
// Arenas, tapes and parameter layouts.
#include <gtest/gtest.h>

#include <cstdint>

#include "core/exec/arena.h"
#include "core/exec/parameters.h"
#include "core/exec/pass.h"
#include "core/exec/tape.h"

namespace millrace {
namespace {

TEST(ArenaTest, ColumnsStandOnCacheLinesAndArePadded) {
  Arena arena(sizeof(float));
  for (const int rows : {0, 1, 15, 16, 17, 64, 256, 1024}) {
    const Matrix m = arena.NewMatrix(rows, 3);
    EXPECT_EQ(m.rows, rows);
    EXPECT_EQ(m.cols, 3);
    EXPECT_GE(m.stride, RoundUp(rows, kRowAlign));
    EXPECT_EQ(m.stride % kRowAlign, 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(m.buffer) % 64, 0u);
    EXPECT_TRUE(rows == 0 || m.stride * sizeof(float) % 1024 != 0) << "columns share a cache set";
  }
}

TEST(ArenaTest, ScopesGiveBackWhatTheyTook) {
  Arena arena(sizeof(double));
  const Matrix before = arena.NewMatrix(16, 2);
  void* inside = nullptr;
  {
    const Arena::Scope scope(arena);
    inside = arena.NewMatrix(16, 2).buffer;
    EXPECT_NE(inside, before.buffer);
  }
  EXPECT_EQ(arena.NewMatrix(16, 2).buffer, inside);
}

TEST(ArenaTest, AllocatesNothingAfterTheFirstBlock) {
  Arena arena(sizeof(float));
  std::size_t capacity = 0;
  for (int block = 0; block < 5; ++block) {
    {
      const Arena::Scope scope(arena);
      for (int i = 0; i < 100; ++i)
        static_cast<float*>(arena.NewMatrix(64, 100).buffer)[6399] = 1.0f;
      arena.NewVector(64).data[63] = 1.0;
    }
    if (block == 0) capacity = arena.capacity_bytes();
    EXPECT_EQ(arena.capacity_bytes(), capacity);
    if (block == 2) arena.Reset();
  }
  EXPECT_GE(capacity, 100u * 64 * 100 * sizeof(float));
}

TEST(ArenaTest, GrowthLeavesEarlierBlocksAlone) {
  Arena arena(sizeof(float));
  const Matrix first = arena.NewMatrix(1, 1);
  static_cast<float*>(first.buffer)[0] = 3.0f;
  arena.NewMatrix(4096, 4096);
  EXPECT_EQ(static_cast<float*>(first.buffer)[0], 3.0f);
}

TEST(TapeTest, IsAStack) {
  Arena arena(sizeof(float));
  Tape tape;
  const Matrix a = arena.NewMatrix(1, 1);
  const Matrix b = arena.NewMatrix(1, 2);
  tape.Push(a);
  tape.Push(b);
  EXPECT_EQ(tape.Pop().buffer, b.buffer);
  EXPECT_EQ(tape.Pop().cols, 1);
  EXPECT_TRUE(tape.empty());
  EXPECT_DEATH(tape.Pop(), "check failed");
}

TEST(ParameterLayoutTest, SlicesDoNotOverlapAndStartOnCacheLines) {
  ParameterLayout layout;
  layout.Add("a", 3, 5, true);
  layout.Add("b", 1, 1, false);
  layout.Add("c", 2, 256, true);
  layout.Add("none", 0, 7, false);
  std::size_t end = 0;
  for (const auto& entry : layout.entries()) {
    EXPECT_EQ(entry.slice.offset % 16, 0u) << entry.name;
    EXPECT_EQ(entry.slice.ld % 16, 0) << entry.name;
    EXPECT_GE(entry.slice.ld, entry.slice.cols) << entry.name;
    EXPECT_GE(entry.slice.offset, end) << entry.name;
    end = entry.slice.offset + entry.slice.extent();
  }
  EXPECT_EQ(layout.size(), end);
  EXPECT_EQ(layout.count(), 3u * 5 + 1 + 2 * 256);
  EXPECT_TRUE(layout.entries()[0].decays);
  EXPECT_FALSE(layout.entries()[1].decays);
  EXPECT_NE(layout.entries()[2].slice.ld % 256, 0) << "rows share a cache set";
}

}  // namespace
}  // namespace millrace
