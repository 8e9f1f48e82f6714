// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_CPU_HOST_FLOATS_H_
#define MILLRACE_CORE_CPU_HOST_FLOATS_H_

namespace millrace {

// While it lives, denormal numbers count on this thread, as the standard has it, also within tasks
// of Lanes, where they are zero: for the code of those whose rows a backend computes.
class HostFloats {
 public:
#if defined(__SSE__)
  HostFloats() : saved_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(saved_ & ~0x8040u); }
  ~HostFloats() { __builtin_ia32_ldmxcsr(saved_); }
#else
  HostFloats() = default;
#endif
  HostFloats(const HostFloats&) = delete;
  HostFloats& operator=(const HostFloats&) = delete;

 private:
#if defined(__SSE__)
  unsigned saved_;
#endif
};

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_HOST_FLOATS_H_
