// SPDX-License-Identifier: Apache-2.0
// The kernels of this machine, and how closely what they compute must agree with exact values.
#ifndef MILLRACE_TESTS_SUPPORT_ENGINES_H_
#define MILLRACE_TESTS_SUPPORT_ENGINES_H_

#include <ostream>
#include <string>
#include <vector>

#include "core/cpu/cpu_kernels.h"
#include "tests/support/plain_kernels.h"

namespace millrace {

struct Engine {
  std::string name;
  const Kernels* kernels;
  double value_tolerance;     // of rows and log-dets, times max(1, largest)
  double gradient_tolerance;  // times the largest

  friend std::ostream& operator<<(std::ostream& out, const Engine& e) { return out << e.name; }
};

inline Engine PlainEngine() {
  static const PlainKernels kernels;
  return {"Plain", &kernels, 1e-9, 1e-6};
}

inline Engine CpuEngine() {
  static const CpuKernels kernels;
  return {"Cpu", &kernels, 1e-4, 1e-4};
}

inline std::vector<Engine> AllEngines() { return {PlainEngine(), CpuEngine()}; }

}  // namespace millrace

#endif  // MILLRACE_TESTS_SUPPORT_ENGINES_H_
