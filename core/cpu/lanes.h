// SPDX-License-Identifier: Apache-2.0
// How work is spread over threads: parallel loops on one TBB arena, scratch memory by the task.
#ifndef MILLRACE_CORE_CPU_LANES_H_
#define MILLRACE_CORE_CPU_LANES_H_

#include <tbb/task_arena.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "core/exec/arena.h"
#include "core/exec/tape.h"

namespace millrace {

// What one task needs while it works on a block.
struct Scratch {
  Arena arena{sizeof(float)};
  Tape tape;
};

// Thread-safe.
class Lanes {
 public:
  using Priority = tbb::task_arena::priority;

  // A thread of oneTBB leaves these lanes after the tasks it holds where lanes of higher priority
  // want one more.
  explicit Lanes(int threads, Priority priority = Priority::normal)
      : threads_(threads), arena_(threads, /*reserved_for_masters=*/1, priority) {}

  int threads() const { return threads_; }

  // Calls task(i, scratch) for i in [0, count), in any order, on up to threads() threads, and
  // waits. A single task runs on the caller's thread. CANCELLED when `stop` was requested before
  // the last began. Denormal floats count as zero in tasks, whatever thread runs them.
  absl::Status Run(std::int64_t count, const std::stop_token& stop,
                   absl::FunctionRef<void(std::int64_t, Scratch&)> task);

 private:
  std::unique_ptr<Scratch> Acquire();
  void Release(std::unique_ptr<Scratch> scratch);

  const int threads_;
  tbb::task_arena arena_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;  // guarded by mutex_
};

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_LANES_H_
