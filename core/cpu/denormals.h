// SPDX-License-Identifier: Apache-2.0
// What denormal floats are on this thread, while one of these lives. Kernels count them as zero:
// they make Adam's moments several times slower, and results must not depend on which thread's mode
// was in force. The code of those whose rows a backend computes has them as the standard says.
#ifndef MILLRACE_CORE_CPU_DENORMALS_H_
#define MILLRACE_CORE_CPU_DENORMALS_H_

namespace millrace {

template <bool kFlushed>
class Denormals {
 public:
#if defined(__SSE__)
  Denormals() : saved_(__builtin_ia32_stmxcsr()) {
    __builtin_ia32_ldmxcsr(kFlushed ? saved_ | kFlush : saved_ & ~kFlush);
  }
  ~Denormals() { __builtin_ia32_ldmxcsr(saved_); }
#else
  Denormals() = default;
#endif
  Denormals(const Denormals&) = delete;
  Denormals& operator=(const Denormals&) = delete;

 private:
#if defined(__SSE__)
  static constexpr unsigned kFlush = 0x8040;  // results flushed to zero, operands taken as zero
  unsigned saved_;
#endif
};

using FlushDenormals = Denormals<true>;
using KeepDenormals = Denormals<false>;

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_DENORMALS_H_
