// SPDX-License-Identifier: Apache-2.0
// Flows on this machine's processor: the whole flow runs on one cache-sized block of rows before
// the next is touched; blocks are spread over threads with oneTBB.
#ifndef MILLRACE_CORE_CPU_CPU_BACKEND_H_
#define MILLRACE_CORE_CPU_CPU_BACKEND_H_

#include <memory>
#include <string>

#include "core/flow/backend.h"

namespace millrace {

struct CpuBackendOptions {
  // Threads that compute for one query or one training; trainings have what queries leave. 0: the
  // processors this process may use, by its affinity mask and its control groups' quotas; while
  // such a backend lives, oneTBB has no more threads in this process.
  int threads = 0;
};

// Thread-safe; see Backend.
std::unique_ptr<Backend> CreateCpuBackend(const CpuBackendOptions& options = {});

// What `threads = 0` stands for, at least 1.
int AvailableProcessors();

// What this library was compiled for: a level of x86-64, "x86-64-v3"; or another -march with the
// highest level within it, "x86-64-v4 (native)".
std::string CpuInstructionSet();

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_CPU_BACKEND_H_
