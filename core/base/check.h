// SPDX-License-Identifier: Apache-2.0
// MILLRACE_CHECK(condition): aborts with file, line and condition. For our own bugs only; nothing a
// request or a file contains may reach one.
#ifndef MILLRACE_CORE_BASE_CHECK_H_
#define MILLRACE_CORE_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace millrace::internal {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace millrace::internal

#define MILLRACE_CHECK(condition) \
  (static_cast<bool>(condition)   \
       ? static_cast<void>(0)     \
       : ::millrace::internal::CheckFailed(__FILE__, __LINE__, #condition))

#endif  // MILLRACE_CORE_BASE_CHECK_H_
