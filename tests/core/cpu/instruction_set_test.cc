// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "core/cpu/cpu_backend.h"

namespace millrace {
namespace {

std::string HighestLevel() {
  if (__builtin_cpu_supports("x86-64-v4")) return "x86-64-v4";
  if (__builtin_cpu_supports("x86-64-v3")) return "x86-64-v3";
  if (__builtin_cpu_supports("x86-64-v2")) return "x86-64-v2";
  return "x86-64";
}

TEST(InstructionSetTest, OfNativeCodeIsTheHighestLevelOfThisProcessor) {
  if (std::string(MILLRACE_CPU_ARCH) == "native") {
    EXPECT_EQ(CpuInstructionSet(), HighestLevel() + " (native)");
  } else {
    EXPECT_EQ(CpuInstructionSet(), MILLRACE_CPU_ARCH);
  }
}

}  // namespace
}  // namespace millrace
