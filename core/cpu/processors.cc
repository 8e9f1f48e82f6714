// SPDX-License-Identifier: Apache-2.0
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#include "core/cpu/cpu_backend.h"

namespace millrace {
namespace {

// Processors' worth of time the control group (version 2) grants, 0 when it sets no limit.
int ControlGroupQuota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0.0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0.0) return 0;
  const double time = std::strtod(quota.c_str(), nullptr);
  return std::max(1, static_cast<int>(std::ceil(time / period)));
}

}  // namespace

int AvailableProcessors() {
  int processors = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    processors = static_cast<int>(CPU_COUNT(&allowed));
  if (const int quota = ControlGroupQuota(); quota > 0) processors = std::min(processors, quota);
  return std::max(1, processors);
}

}  // namespace millrace
