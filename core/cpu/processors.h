// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_CORE_CPU_PROCESSORS_H_
#define MILLRACE_CORE_CPU_PROCESSORS_H_

#include <filesystem>

namespace millrace {

// Processors' worth of time that the control groups of a process grant it, the tightest of its
// group and of those above, rounded up; 0 where none sets a limit. `membership` is its
// /proc/<pid>/cgroup, `mount` where groups are mounted: version 2 there (cpu.max), version 1 in
// `mount`/cpu (cpu.cfs_quota_us). What cannot be read sets no limit.
int ControlGroupQuota(const std::filesystem::path& membership = "/proc/self/cgroup",
                      const std::filesystem::path& mount = "/sys/fs/cgroup");

}  // namespace millrace

#endif  // MILLRACE_CORE_CPU_PROCESSORS_H_
