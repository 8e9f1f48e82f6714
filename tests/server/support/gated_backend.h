// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_TESTS_SERVER_SUPPORT_GATED_BACKEND_H_
#define MILLRACE_TESTS_SERVER_SUPPORT_GATED_BACKEND_H_

#include <condition_variable>
#include <memory>
#include <mutex>

#include "core/flow/backend.h"

namespace millrace {

// The gate of a backend; open at first. Thread-safe.
class Gate {
 public:
  void Close();
  void Open();
  // Lets those through who wait at the closed gate now.
  void LetPass();
  // Blocks until somebody waits at the gate.
  void AwaitCaller();
  // Waits while the gate is closed.
  void Pass();
  // Calls that came to the gate so far.
  int callers();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;  // guarded by mutex_, as all below
  int waiting_ = 0;
  int callers_ = 0;
  int let_pass_ = 0;
};

// The CPU's backend; LogProb and StartTraining wait at the gate first and do not look at their stop
// tokens meanwhile.
std::unique_ptr<Backend> MakeGatedBackend(std::shared_ptr<Gate> gate);

}  // namespace millrace

#endif  // MILLRACE_TESTS_SERVER_SUPPORT_GATED_BACKEND_H_
