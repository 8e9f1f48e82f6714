// SPDX-License-Identifier: Apache-2.0
// What bench_serving measures with: a model, rows, and servers in processes of their own.
#ifndef MILLRACE_TESTS_BENCHMARKS_SERVING_CASE_H_
#define MILLRACE_TESTS_BENCHMARKS_SERVING_CASE_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/model.h"

namespace millrace {

inline constexpr int kColumns = 43;

// A MAF of five layers of [100, 100] with random weights: nothing is zero that training would not
// leave zero.
Model ServingModel();

// `count` rows that the model takes, [count * kColumns].
std::vector<float> ServingRows(std::int64_t count);

// A program that logs "port=N" once it serves. Ended with the object.
class Process {
 public:
  explicit Process(std::vector<std::string> command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int port() const { return port_; }
  double ResidentMegabytes() const;
  double CpuSeconds() const;

 private:
  pid_t pid_ = 0;
  int port_ = 0;
};

// Serves an echo of LogProb of one row: the same answer to all; the callback API and the options of
// millrace-server, but the reply is finished where the request arrives. With `evaluates`, the
// answer is the row's log-density by ServingModel, and nothing else is done: no checks, limits,
// metrics or versions. Never returns.
[[noreturn]] void ServeEcho(bool evaluates);

}  // namespace millrace

#endif  // MILLRACE_TESTS_BENCHMARKS_SERVING_CASE_H_
