// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "core/cpu/cpu_backend.h"

namespace millrace {
namespace {

// The highest level of the x86-64 psABI within what the compiler may use here.
std::string Level() {
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512CD__) && \
    defined(__AVX512DQ__) && defined(__AVX512VL__)
  return "x86-64-v4";
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && defined(__BMI__) && \
    defined(__BMI2__) && defined(__LZCNT__) && defined(__MOVBE__)
  return "x86-64-v3";
#elif defined(__SSE4_2__) && defined(__POPCNT__)
  return "x86-64-v2";
#elif defined(__x86_64__)
  return "x86-64";
#else
  return "generic";
#endif
}

}  // namespace

std::string CpuInstructionSet() {
#ifdef MILLRACE_CPU_ARCH
  if (Level() != MILLRACE_CPU_ARCH) return Level() + " (" MILLRACE_CPU_ARCH ")";
#endif
  return Level();
}

}  // namespace millrace
